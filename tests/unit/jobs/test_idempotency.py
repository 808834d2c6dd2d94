"""What makes two bodies the same."""

import pytest

from jobs.idempotency import fingerprint_of


def test_the_order_of_names_does_not_matter() -> None:
    assert fingerprint_of({"a": 1, "b": [2]}) == fingerprint_of({"b": [2], "a": 1})


@pytest.mark.parametrize("other", [{"a": "1"}, {"a": 2}, {"a": [1]}, {"b": 1}, {}], ids=str)
def test_another_value_is_another_body(other: dict[str, object]) -> None:
    assert fingerprint_of({"a": 1}) != fingerprint_of(other)
