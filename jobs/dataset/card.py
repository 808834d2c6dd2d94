"""The dataset card, `README.md`: what Hugging Face reads first, and people too.

It names the files of the dataset and the types of all columns, so that `load_dataset(DIR)` guesses
neither.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from jobs.dataset.columns import Columns
from jobs.dataset.folder import replacing
from jobs.dataset.form import Form
from jobs.dataset.sample import ending_of
from jobs.dataset.shape import Shape
from jobs.dataset.tally import Tally

CARD_FILE = "README.md"

#: A card without it has become somebody's own.
MARK = "<!-- Written by `darkroom export`; without this line it is left as it is. -->"

#: Kinds of files that the loader decodes.
SHOWN = ("image", "video")

#: The files of the dataset.
PATHS = {
    Form.IMAGEFOLDER: ["metadata.jsonl", "[0-9]*/*"],
    Form.WEBDATASET: ["shard-*.tar"],
    Form.PARQUET: ["train-*.parquet"],
}


def card_of(form: Form, columns: Columns, about: Mapping[str, Any], tally: Tally) -> str:
    """The card of a dataset with these columns, and the files that were counted."""
    head = {
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": PATHS[form]}]}
        ],
        "dataset_info": {"features": features_of(form, columns, tally)},
    }
    summary = tally.summary()
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        MARK,
        "",
        f"# {about.get('batch') or about.get('batch_id')}",
        "",
        f"{summary.files:,} files that {summary.jobs:,} jobs made, as `{form}`.",
        "`dataset.json` says how they were made, and what failed and why;",
        "`failed.jsonl` holds what made nothing, as `darkroom run` takes it again.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'dataset = load_dataset("PATH OF THIS FOLDER", split="train")',
        "```",
    ]
    return "\n".join(lines) + "\n"


def write_card(out: Path, card: str) -> None:
    """Write the card, unless the one that is there is somebody's own."""
    path = out / CARD_FILE
    if path.exists() and MARK not in path.read_text(errors="replace"):
        return
    with replacing(path) as file:
        file.write(card.encode())


def features_of(form: Form, columns: Columns, tally: Tally) -> list[dict[str, Any]]:
    """The columns as the loader of this format makes them."""
    fields = [feature(name, shape) for name, shape in columns.shape.items()]
    match form:
        case Form.IMAGEFOLDER:
            return [{"name": "image", "dtype": "image"}, *fields[1:]]
        case Form.WEBDATASET:
            by_ending = {f["name"]: f for f in map(sample_field, sorted(tally.content_types))}
            keys = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
            return [*by_ending.values(), {"name": "json", "struct": fields}, *keys]
        case _:
            return [*({"name": name, **media_type(name)} for name in columns.media), *fields]


def sample_field(content_type: str) -> dict[str, Any]:
    """A file in a tar, which is known by its ending."""
    kind, ending = content_type.partition("/")[0], ending_of(content_type)
    if ending == "txt":
        return {"name": ending, "dtype": "string"}
    return {"name": ending, "dtype": kind if kind in SHOWN else "binary"}


def media_type(kind: str) -> dict[str, Any]:
    """The type of a column that holds files."""
    if kind in SHOWN:
        return {"dtype": kind}
    return {"struct": [{"name": "bytes", "dtype": "binary"}, {"name": "path", "dtype": "string"}]}


def feature(name: str, shape: Shape) -> dict[str, Any]:
    """A column as a card has it."""
    return {"name": name, **_type_of(shape)}


def _type_of(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, dict):
        return {"struct": [feature(name, part) for name, part in shape.items()]}
    if isinstance(shape, list):
        inner = _type_of(shape[0])
        return {"list": inner.get("struct") or inner.get("dtype") or inner}
    return {"dtype": shape}
