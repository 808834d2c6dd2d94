"""What the catalog's entries are made of: operations, parameters, image rules, ties, prices.

Only types and arithmetic; the entries are the TOML files beside this module.
"""

import re
from collections import ChainMap
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from math import ceil
from string import Formatter
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

#: Serves every asynchronous result, whatever made it.
ANY_RESULT = "/v2beta/results/{id}"

#: What a file may be called whose name is not in the catalog.
FILE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

#: Credits are counted in thousandths, as integers, so that sums are exact everywhere.
MILLI = 1000


class Kind(StrEnum):
    """What a parameter's value is."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    #: An image that is sent as a file.
    FILE = "file"
    #: v1's list of `{text, weight}`; a plain string counts as one prompt of weight 1.
    PROMPTS = "prompts"
    #: Passed on as it is (v1's `extras`).
    OBJECT = "object"
    #: An object whose entries are fields of the body; each is also a parameter, `fields.prompt`.
    FIELDS = "fields"
    #: One such entry: text, a number, true or false.
    SCALAR = "scalar"
    #: An address of the API that no operation has.
    PATH = "path"


class Value(BaseModel):
    """Base of the frozen, strict types below: an unknown key in a TOML file is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageRule(Value):
    """What the API takes as an input image; sides and pixels are inclusive bounds."""

    formats: tuple[Literal["jpeg", "png", "webp"], ...] = ("jpeg", "png", "webp")
    min_side: int = 1
    max_side: int | None = None
    min_pixels: int = 1
    max_pixels: int | None = None
    #: Longer side over shorter side, at the most.
    max_aspect: Decimal | None = None
    #: If given, the exact (width, height) pairs allowed.
    sizes: tuple[tuple[int, int], ...] | None = None


class Parameter(Value):
    """One parameter of an operation."""

    name: str
    kind: Kind
    required: bool = False
    #: The API's own default; None where it has none. Never sent, only shown.
    default: Any = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    multiple_of: int | None = None
    #: Of a string, in characters; of prompts, the length of each text.
    min_length: int | None = None
    max_length: int | None = None
    #: A regular expression that the whole string matches.
    pattern: str | None = None
    #: The allowed values of an enum, as they are sent.
    values: tuple[str | int, ...] | None = None
    image: ImageRule | None = None
    #: A field of the body; a part of the address (v1's engine_id); or sent nowhere, for it says
    #: how the call is made: it then has the name of the operation's key that it replaces.
    place: Literal["body", "path", "call"] = "body"
    note: str = ""


class Tie(Value):
    """A rule that ties parameters together.

    It applies when `when` is given, or, with `equals`, has that value (a parameter that is not
    given has its default); with no `when`, always. Then all of `requires` must be given, none of
    `forbids`, and at least one of `any_of` (a zero or an empty text does not count there).
    """

    when: str | None = None
    equals: str | None = None
    requires: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    #: No file at all may be given.
    forbids_files: bool = False
    #: One sentence for people, shown when the rule is broken.
    message: str

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter that the rule speaks of."""
        return (*((self.when,) if self.when else ()), *self.requires, *self.forbids, *self.any_of)


class OutputSizes(Value):
    """The (width, height) pairs that one of v1's engines makes."""

    #: The value of `engine_id` for which this holds.
    engine: str
    #: What the engine makes when neither side is given; a single side goes with the other's.
    default: tuple[int, int]
    #: If given, the exact pairs allowed.
    sizes: tuple[tuple[int, int], ...] | None = None
    #: Inclusive bounds of each side.
    min_side: int = 1
    max_side: int | None = None

    def allows(self, width: int, height: int) -> bool:
        """Whether the engine makes pictures of this size."""
        if self.sizes is not None:
            return (width, height) in self.sizes
        longest = max(width, height)
        is_small_enough = self.max_side is None or longest <= self.max_side
        return min(width, height) >= self.min_side and is_small_enough


class Price(Value):
    """Credits of one call, in thousandths.

    `flat`, or by the value of parameter `by` (`table`, falling back on that parameter's default),
    or v1's formula: `flat` up to 30 steps, in proportion beyond, times `samples`. Or the caller
    says it, in credits, as the parameter `stated_by`.
    """

    flat: int | None = None
    stated_by: str | None = None
    by: str | None = None
    table: Mapping[str, int] | None = None
    per_step: bool = False


def made_address(path: str) -> str:
    """Where results are fetched of most asynchronous operations that the documents describe."""
    return f"{path}/result/{{id}}"


class Operation(Value):
    """One kind of job."""

    name: str
    title: str
    #: The address below the host, with `{engine_id}` where v1 has it.
    path: str
    #: Whether it answers with the result, or with an id to ask for it; `either` is seen by then.
    mode: Literal["sync", "async", "either"]
    media: Literal["image", "video", "model", "any"]
    #: How the body is sent.
    body: Literal["multipart", "json"] = "multipart"
    #: What the answer is to be; None follows from mode and media.
    accept: str | None = None
    #: Where an asynchronous result is fetched, with `{id}`; None for `either` is unknown.
    result_path: str | None = None
    #: Takes files of names that are not listed.
    takes_any_file: bool = False
    legacy: bool = False
    price: Price
    parameters: tuple[Parameter, ...]
    ties: tuple[Tie, ...] = ()
    output_sizes: tuple[OutputSizes, ...] = ()

    # Names are unique in the catalog, so this is cheap and makes operations keys of caches;
    # the hash that Pydantic would make meets the price table, which has none.
    def __hash__(self) -> int:
        return hash(self.name)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name} has a parameter twice")
        strangers = {name for tie in self.ties for name in tie.names} - set(names)
        if strangers:
            raise ValueError(f"{self.name} has ties on unknown parameters: {strangers}")
        in_path = {p.name for p in self.parameters if p.place == "path"}
        if in_path != {name for _, name, _, _ in Formatter().parse(self.path) if name}:
            raise ValueError(f"{self.name} does not fill its path {self.path}")
        told = {p.name for p in self.parameters if p.place == "call"} - {self.price.stated_by}
        if strangers := told - Operation.model_fields.keys():
            raise ValueError(f"{self.name} is told what calls do not have: {strangers}")
        return self

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        has_results = self.result_path is not None
        if self.mode != "either" and (self.mode == "async") != has_results:
            raise ValueError(f"{self.name}: an asynchronous operation, and no other, has results")
        if self.price.by is None:
            if self.price.flat is None and not self._is_stated(self.price.stated_by):
                raise ValueError(f"{self.name} has no price")
            return self
        chosen = self.parameter(self.price.by)
        if chosen is None or set(chosen.values or ()) != set(self.price.table or ()):
            raise ValueError(f"{self.name}: the price table does not name each {self.price.by}")
        return self

    def _is_stated(self, name: str | None) -> bool:
        parameter = self.parameter(name) if name else None
        return parameter is not None and parameter.kind is Kind.NUMBER and parameter.required

    @property
    def has_address(self) -> bool:
        """Whether its address is known before a job names it."""
        return not any(parameter.kind is Kind.PATH for parameter in self.parameters)

    @property
    def is_v1(self) -> bool:
        """Whether it answers in v1's JSON of base64 artifacts, and in nothing else."""
        return self.media != "any" and self.path.startswith("/v1/")

    @property
    def own_result_paths(self) -> tuple[str, ...]:
        """Where only its results are fetched: the documented address, and one made like it."""
        if self.result_path is None:
            return ()
        places = (self.result_path, made_address(self.path))
        return tuple(dict.fromkeys(p for p in places if p != ANY_RESULT))

    @property
    def fields_name(self) -> str | None:
        """The parameter that is an object of fields, if there is one."""
        return next((p.name for p in self.parameters if p.kind is Kind.FIELDS), None)

    def parameter(self, name: str) -> Parameter | None:
        """The parameter called `name`, or None."""
        found = next((p for p in self.parameters if p.name == name), None)
        if found is None and "." in name:
            return self._entry(name)
        return found

    def _entry(self, name: str) -> Parameter | None:
        """The one entry of an object of fields that `fields.prompt` names."""
        whole, _, entry = name.partition(".")
        is_entry = whole == self.fields_name and bool(entry) and entry.isprintable()
        return Parameter(name=name, kind=Kind.SCALAR) if is_entry else None

    def file(self, name: str) -> Parameter | None:
        """The file called `name`, or None; it need not be listed where any file is taken."""
        found = self.parameter(name)
        if found is None and self.takes_any_file and FILE_NAME.fullmatch(name):
            return Parameter(name=name, kind=Kind.FILE)
        return found if found is not None and found.kind is Kind.FILE else None

    def sent(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the body that these (clean) params stand for."""
        elsewhere = {p.name for p in self.parameters if p.place != "body"}
        fields = {name: value for name, value in params.items() if name not in elsewhere}
        for parameter in self.parameters:
            if parameter.kind is Kind.FIELDS:
                fields |= fields.pop(parameter.name, {})
        return fields

    def flat(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """These (clean) params with the entries of their object of fields among them."""
        objects = {p.name for p in self.parameters if p.kind is Kind.FIELDS}
        entries = [params[name] for name in objects if name in params]
        own = {name: value for name, value in params.items() if name not in objects}
        return dict(ChainMap(own, *entries))

    def called_with(self, params: Mapping[str, Any]) -> "Operation":
        """The operation as it is called with these (clean) params, which may say how."""
        told = {
            p.name: params[p.name]
            for p in self.parameters
            if p.place == "call" and p.name in params and p.name in Operation.model_fields
        }
        if not self.has_address:
            told["path"] = self.path.format(**params)
        return self.model_copy(update=told) if told else self

    def result_address(self, polls: int) -> str:
        """Where to ask for a result, after so many polls.

        Of a path that nobody knows, the address that serves all results takes turns with the one
        that the caller gave, who may be wrong, or with one made like the documented ones.
        """
        if self.mode != "either" and self.result_path is not None:
            return self.result_path
        if self.result_path in (None, ANY_RESULT):
            return (ANY_RESULT, made_address(self.path))[polls % 2]
        return (self.result_path, ANY_RESULT)[polls % 2]

    def price_of(self, params: Mapping[str, Any]) -> int:
        """What one successful call with these (clean) params costs, in thousandths of a credit."""
        price = self.price
        if price.stated_by is not None:
            return ceil(Decimal(str(params[price.stated_by])) * MILLI)
        if price.by is not None and price.table is not None:
            chosen = self.parameter(price.by)
            value = params.get(price.by, chosen.default if chosen else None)
            return price.table[str(value)]
        assert price.flat is not None, f"{self.name} has no price"
        if not price.per_step:
            return price.flat
        steps = max(int(params.get("steps", 30)), 30)
        return price.flat * steps // 30 * int(params.get("samples", 1))
