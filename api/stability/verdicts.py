"""What Stability's status and name would be for a job that gave no output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.stability.refusals import NO_GENERATION, WORDS, moderation
from jobs.stability.reply import USER_FAULTS

#: The status by the code of the job's error; what stands in neither table is a fault of the
#: service: 500.
BY_CODE = {code: status for status, code in USER_FAULTS.items()} | {"forbidden": 403}
BY_CLASS = {"user": 400, "moderation": 403, "billing": 402, "rate": 429}
#: Names where Stability's word for the status would be wrong.
NAMES = {"forbidden": "permission_denied", "unprocessable": "unprocessable_entity"}


@dataclass(frozen=True)
class Verdict:
    """A refusal: its status, its short name, and one sentence."""

    status: int
    name: str
    sentence: str


def verdict_on(path: str, job_id: str, state: str, error: Mapping[str, Any] | None) -> Verdict:
    """Why there is no output; `path` is the address as Stability has it."""
    if error is None:
        return Verdict(409, state, f"The job {job_id} was {state}.")
    code, message = error["code"], error["message"]
    if error["class"] == "moderation":
        return Verdict(*moderation(path), message)
    if code == "result_expired":
        return Verdict(404, *NO_GENERATION)
    if code == "bad_key":
        # The caller's own key is good.
        message = f"Stability refused the key of this service: {message}"
    status = BY_CODE.get(code) or BY_CLASS.get(error["class"], 500)
    name = NAMES.get(code) or WORDS.get(status, WORDS[400])[0]
    return Verdict(status, name, f"{message} (job {job_id})" if status >= 500 else message)
