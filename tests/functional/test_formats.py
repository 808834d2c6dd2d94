"""A mixed batch as a dataset, as a person asks for it."""

import tarfile

from tests.functional.darkroom import Darkroom
from tests.functional.manifests import mixed
from tests.integration.sandbox.caller import Caller


def test_a_mixed_batch_is_exported_in_one_format_and_then_another(
    darkroom: Darkroom, api: Caller
) -> None:
    user, folder = darkroom.asking(api), darkroom.folder
    manifest = mixed(folder / "mix.csv", cores=2, upscales=0, videos=1, earlier=[])
    options = ("--out", "pictures", "--format", "imagefolder", "--yes", "--json")

    ran = user.run("run", manifest, *options)
    refused = user.run("export", "mix", "--out", "pictures", "--format", "webdataset")
    exported = user.run("export", "mix", "--out", "tars", "--format", "webdataset", "--json")

    assert ran.code == 0, ran
    assert (ran.json["files"], ran.json["left_out"]) == (2, {"video/mp4": 1})
    assert "left out, for imagefolder is for pictures: 1 video/mp4" in ran.err
    assert refused.code == 2
    assert "holds this batch as imagefolder" in refused.err
    assert exported.json["files"] == 3
    with tarfile.open(folder / "tars/shard-00000.tar") as archive:
        names = [name for name in archive.getnames() if not name.endswith(".json")]
    assert names == ["000000000-00.jpg", "000000001-00.jpg", "000000002-00.mp4"]
