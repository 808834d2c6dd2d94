"""The catalog as JSON Schema."""

import jsonschema
import pytest

from jobs.catalog.json_schema import inputs_schema, params_schema
from jobs.catalog.loader import catalog, operation
from jobs.catalog.operation import Operation

OPERATIONS = list(catalog().values())


@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
def test_every_operation_has_a_valid_schema(entry: Operation) -> None:
    for schema in (params_schema(entry), inputs_schema(entry)):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
def test_each_parameter_is_in_one_of_the_two(entry: Operation) -> None:
    params, inputs = params_schema(entry)["properties"], inputs_schema(entry)["properties"]

    assert {*params, *inputs} == {parameter.name for parameter in entry.parameters}
    assert not params.keys() & inputs.keys()


def test_bounds_values_and_duties_are_told() -> None:
    schema = params_schema(operation("generate/core"))

    assert schema["required"] == ["prompt"]
    assert schema["additionalProperties"] is False
    assert "16:9" in schema["properties"]["aspect_ratio"]["enum"]
    assert schema["properties"]["seed"]["maximum"] == 4_294_967_294
