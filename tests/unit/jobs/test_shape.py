"""Types of columns, learned from values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.dataset.shape import WIDEST, Shape, conform, merged, settled, shape_of
from jobs.errors import BatchChanged

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        pytest.param(["a", "b"], "string", id="text"),
        pytest.param([1, 2.5], "float64", id="whole and broken numbers"),
        pytest.param([True, 1], "string", id="truth and number"),
        pytest.param([512, "512"], "string", id="number and text"),
        pytest.param([None, 3], "int64", id="nothing first"),
        pytest.param([None, None], "string", id="nothing at all"),
        pytest.param([{}, []], ["string"], id="empty"),
        pytest.param([[1], [], [2.5]], ["float64"], id="lists"),
        pytest.param([{"a": 1}, {"b": "x"}], {"a": "int64", "b": "string"}, id="fields"),
        pytest.param([{"a": 1}, [1]], "string", id="object and list"),
        pytest.param([{str(n): n} for n in range(WIDEST + 1)], "string", id="too many fields"),
        pytest.param([{"my_file_name": "x"}], {"my_file_name_": "string"}, id="a loader's word"),
        pytest.param([{"file_name": "x"}], {"file_name_": "string"}, id="a loader's own word"),
        pytest.param(
            [{"a_file_name": 1, "a_file_name_": "x"}],
            {"a_file_name_": "int64", "a_file_name__": "string"},
            id="a loader's word, changed already",
        ),
        pytest.param([[{"file_names": []}]], [{"file_names_": ["string"]}], id="in a list"),
        pytest.param([1, 2**63], "string", id="too large a number"),
    ],
)
def test_a_shape_takes_all_values(values: list[Any], shape: Shape) -> None:
    found: Shape = None
    for value in values:
        found = merged(found, shape_of(value))

    assert settled(found) == shape


@given(st.lists(JSON, max_size=5))
def test_a_value_that_was_made_to_fit_has_the_shape_of_all(values: list[Any]) -> None:
    found: Shape = None
    for value in values:
        found = merged(found, shape_of(value))
    shape = settled(found)

    fitting = [conform(value, shape) for value in values]

    for value in fitting:
        assert has(value, shape)
    assert json.loads(json.dumps(fitting)) == fitting


@given(st.lists(JSON, max_size=3), JSON)
def test_a_value_that_was_not_seen_fits_or_is_refused(values: list[Any], late: Any) -> None:
    found: Shape = None
    for value in values:
        found = merged(found, shape_of(value))
    shape = settled(found)

    try:
        fitting = conform(late, shape)
    except BatchChanged:
        assert merged(shape, shape_of(late)) != shape
    else:
        assert has(fitting, shape)


def has(value: Any, shape: Shape) -> bool:
    """Whether a value is as a table with this shape takes it, down to the fields' names."""
    if value is None:
        return True
    if isinstance(shape, dict):
        return list(value) == list(shape) and all(has(value[name], shape[name]) for name in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(has(part, shape[0]) for part in value)
    return shape_of(value) == shape
