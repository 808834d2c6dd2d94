"""What an input may refer to."""

import pytest

from jobs.references import (
    AssetReference,
    BucketReference,
    DataReference,
    OutputReference,
    WebReference,
    parse,
)

ID = "01hzy3v8k2m4n6p8q0r2s4t6v8"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (ID, AssetReference(ID)),
        (f"asset:{ID}", AssetReference(ID)),
        (f"job:{ID}", OutputReference(ID, 0)),
        (f"job:{ID}#2", OutputReference(ID, 2)),
        ("data:image/png;base64,AAAA", DataReference("image/png", "AAAA")),
        ("https://example.com/a.png", WebReference("https://example.com/a.png")),
        ("s3://faces/2026/ä b.png", BucketReference("faces", "2026/ä b.png")),
    ],
)
def test_each_form_is_understood(text: str, reference: object) -> None:
    assert parse(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        *("", "asset:", "asset:short", "job:", f"job:{ID}#", f"job:{ID}#-1", f"job:{ID}#99999"),
        *("s3://faces", "s3:///key", "s3://UP/key", "s3://faces/\n", "file:///etc/passwd", "a.png"),
        *("ftp://example.com/", "data:text/html;base64,AAAA", f"{ID}0"),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", [f"asset:{ID}", f"job:{ID}#1", "https://a.b/", "s3://faces/key"])
def test_a_reference_is_written_as_it_was_read(text: str) -> None:
    assert str(parse(text)) == text
