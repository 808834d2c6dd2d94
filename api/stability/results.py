"""Where results are fetched: of asynchronous operations, and of calls that did not wait."""

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from api.access import Known, router_for
from api.parts import UsesParts
from api.problems import InvalidRequest
from api.stability.answer import answer_to, in_progress
from api.stability.described import results_of
from api.stability.ids import LENGTH, job_of
from api.stability.order import wanted_form
from api.stability.shape import PREFIX, refused
from api.stability.waiting import Seen, look_at
from jobs.catalog.loader import addressed
from jobs.catalog.operation import ANY_RESULT
from jobs.errors import Fault, NotFound
from jobs.keys import Scope
from jobs.stability.refusals import NO_GENERATION
from jobs.states import FINAL

router = router_for(Scope.READ, "stability", refusals={})

#: The length is checked by hand, for it is refused in words of Stability's.
Generation = Annotated[
    str, Path(alias="id", json_schema_extra={"minLength": LENGTH, "maxLength": LENGTH})
]


def endpoint_of(operations: frozenset[str]) -> Callable[..., Response]:
    """The endpoint that serves results of these operations."""

    def fetch(
        generation: Generation, request: Request, caller: Known, parts: UsesParts
    ) -> Response:
        if len(generation) != LENGTH:
            fault = Fault(field="id", code="bad_id", message=f"must have {LENGTH} characters")
            raise InvalidRequest([fault])
        seen = seen_by(parts, caller.project_id, generation)
        if seen is None or seen.job.operation not in operations:
            name, sentence = NO_GENERATION
            return refused(request, status=404, name=name, sentences=[sentence])
        operation = addressed()[seen.job.operation]
        as_json = wanted_form(request, operation)
        if seen.job.state not in FINAL:
            # A held one goes on as well: with money, or when a person has decided.
            return in_progress(seen.job.id)
        return answer_to(parts, request, operation, seen, as_json=as_json)

    return fetch


def seen_by(parts: UsesParts, project_id: str, generation: str) -> Seen | None:
    """The job under this id, if the project has one."""
    job_id = job_of(generation)
    if job_id is None:
        return None
    try:
        return look_at(parts, project_id, job_id)
    except NotFound:
        return None


def addresses() -> Mapping[str, frozenset[str]]:
    """The operations whose results each address serves."""
    operations = addressed().values()
    own = {path: frozenset({o.name}) for o in operations for path in o.own_result_paths}
    return {ANY_RESULT: frozenset(addressed()), **own}


for _path, _operations in addresses().items():
    router.add_api_route(
        PREFIX + _path,
        endpoint_of(_operations),
        methods=["GET"],
        response_model=None,
        summary="Result",
        responses=results_of(_path, {addressed()[name].media for name in _operations}),
    )
