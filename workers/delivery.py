"""From the spool to the bucket: check the media, upload, and say what lies where."""

from jobs.catalog.operation import Operation
from jobs.crashpoints import crash_point
from jobs.durable import storage_errors
from jobs.errors import StorageError
from jobs.media import BadMedia, MediaFacts, inspect
from jobs.outcomes import Outcome, Stored, StoredOutput
from jobs.queue.moves import Claim
from jobs.spool import Spooled
from jobs.storage.keys import attempt_prefix, extension_of, output_key
from workers.answers import bytes_lost, can_be_fetched, damaged
from workers.pieces import Piece, as_int, pieces
from workers.resources import Resources

#: Seconds between tries to reach a bucket that is away, at first and at the most.
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 15.0


def deliver(r: Resources, operation: Operation, claim: Claim) -> Outcome:
    """Bring what the attempt received into the bucket; waits for a bucket that is away.

    Waiting here keeps the thread on purpose: when nothing can be stored, nothing more should be
    paid. Raises StorageError only when the process ends meanwhile.
    """
    wait = FIRST_RETRY_SECONDS
    while True:
        try:
            outcome = store_found(r, operation, claim)
        except StorageError as error:
            r.changes.say("bucket", str(error))
            if r.ended.wait(wait):
                raise
            wait = min(wait * 2, LONGEST_RETRY_SECONDS)
        else:
            r.changes.say("bucket", "ok")
            return outcome


def store_found(r: Resources, operation: Operation, claim: Claim) -> Outcome:
    """Store what lies in the spool, or find that it is in the bucket already."""
    assert claim.attempt_id is not None
    spooled = r.spool.find(claim.attempt_id)
    if spooled is None:
        return find_stored(r, claim) or bytes_lost(r, operation, claim)
    try:
        return store(r, operation, claim, spooled)
    except BadMedia as error:
        return reject(r, operation, claim, spooled, str(error))


def reject(
    r: Resources, operation: Operation, claim: Claim, spooled: Spooled, reason: str
) -> Outcome:
    """Damaged media: an asynchronous result is fetched again, a synchronous one is evidence."""
    outcome = damaged(r, operation, claim, reason)
    if can_be_fetched(operation, claim):
        r.spool.discard(spooled.attempt_id)
    else:
        spooled.path.replace(spooled.path.with_suffix(".rejected"))
    return outcome


def store(r: Resources, operation: Operation, claim: Claim, spooled: Spooled) -> Stored:
    """Check and upload every piece. Raises BadMedia and StorageError."""
    with pieces(operation, spooled) as found:
        any_kind = operation.media == "any"
        facts = [inspect(p.path, p.content_type, any_kind=any_kind) for p in found]
        outputs = tuple(
            upload(r, claim, number, len(found), piece, fact)
            for number, (piece, fact) in enumerate(zip(found, facts, strict=True))
        )
    crash_point("uploaded")
    return Stored(outputs)


def upload(
    r: Resources, claim: Claim, number: int, count: int, piece: Piece, facts: MediaFacts
) -> StoredOutput:
    """Put one piece under the key that belongs to its attempt."""
    assert claim.attempt_number is not None
    extension = extension_of(facts.content_type)
    key = output_key(claim.project_id, claim.id, claim.attempt_number, number, extension)
    output = StoredOutput(
        number=number,
        key=key,
        content_type=facts.content_type,
        bytes=piece.size,
        sha256=piece.sha256,
        width=facts.width,
        height=facts.height,
        seed=claim.seed if piece.seed is None else piece.seed,
        finish_reason=piece.finish_reason,
    )
    with storage_errors("read the spool"), piece.path.open("rb") as source:
        r.storage.put(
            key,
            source,
            size=piece.size,
            content_type=facts.content_type,
            sha256=piece.sha256,
            metadata=object_metadata(output, count),
            is_final=True,
        )
    return output


def object_metadata(output: StoredOutput, count: int) -> dict[str, str]:
    """What the object itself says, so that it can be adopted without the spool."""
    told = {
        "seed": output.seed,
        "finish-reason": output.finish_reason,
        "width": output.width,
        "height": output.height,
        "count": count,
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def find_stored(r: Resources, claim: Claim) -> Stored | None:
    """The attempt's outputs in the bucket, if all of them are there. Raises StorageError."""
    assert claim.attempt_number is not None
    prefix = attempt_prefix(claim.project_id, claim.id, claim.attempt_number)
    outputs = []
    count = None
    for key in sorted(r.storage.list(prefix)):
        found = r.storage.head(key)
        if found is None:
            return None
        told = found.metadata
        count = as_int(told.get("count"))
        outputs.append(
            StoredOutput(
                number=int(key.removeprefix(prefix).partition(".")[0]),
                key=key,
                content_type=found.content_type,
                bytes=found.size,
                sha256=found.sha256,
                width=as_int(told.get("width")),
                height=as_int(told.get("height")),
                seed=as_int(told.get("seed")),
                finish_reason=told.get("finish-reason"),
            )
        )
    if not outputs or len(outputs) != count:
        return None
    return Stored(tuple(sorted(outputs, key=lambda output: output.number)))
