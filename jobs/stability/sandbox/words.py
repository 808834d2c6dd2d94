"""An answer that is no media: JSON of the API's own making."""

import json

from jobs.stability.sandbox.plan import Plan


def draw(plan: Plan) -> bytes:
    """The JSON of a plan."""
    return json.dumps({"caption": f"a picture of the kind {plan.look[:8]}"}).encode()
