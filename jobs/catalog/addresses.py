"""Which addresses a job may name itself: paths of the API that are paid for, and of no operation.

A known operation has bounds, a price and a seed, which a call past it would do without.
"""

import re
from collections.abc import Sequence
from functools import cache

from jobs.catalog.loader import addressed
from jobs.catalog.operation import Parameter
from jobs.catalog.storable import shown, text_fault

EXAMPLE = "/v2beta/stable-image/generate/next"
#: Of results, and of the account: Darkroom asks for them by itself, and no POST is paid there.
UNPAID_ANYWHERE = frozenset({"result", "results"})
UNPAID_AT_FIRST = frozenset({"user", "engines"})


def address_refusal(parameter: Parameter, value: object) -> tuple[str, str] | None:
    """Why this address may not be called, as (code, message), or None."""
    if not isinstance(value, str):
        return "wrong_type", f"must be text such as {EXAMPLE}, not {shown(value)}"
    if (why := text_fault(value)) is not None:
        return "unstorable", why
    if "://" in value or value.startswith("//"):
        return "bad_address", f"must be the path alone, such as {EXAMPLE}, without a host"
    if "?" in value or "#" in value:
        return "bad_address", "must not have a query; what the call needs goes under fields"
    if parameter.max_length is not None and len(value) > parameter.max_length:
        return "too_long", f"must have at most {parameter.max_length} characters"
    if parameter.pattern is not None and not re.fullmatch(parameter.pattern, value):
        return "bad_address", f"must be a path of the API such as {EXAMPLE}, not {shown(value)}"
    return _occupied(value)


def _occupied(path: str) -> tuple[str, str] | None:
    # The API's router may not tell capitals from small letters.
    segments = path.casefold().split("/")[2:]
    if segments[0] in UNPAID_AT_FIRST or not UNPAID_ANYWHERE.isdisjoint(segments):
        return "reserved", "is no paid call: Darkroom asks for results and accounts by itself"
    for address, name in _templates():
        if address.fullmatch(path):
            return "known_operation", f"is the operation {name}: submit that, it knows more of it"
    return None


@cache
def _templates() -> Sequence[tuple[re.Pattern[str], str]]:
    """The address of every operation, and its name."""
    return [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(found.path)), re.IGNORECASE), name)
        for name, found in addressed().items()
    ]
