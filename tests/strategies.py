"""What Hypothesis draws for tests of the queue."""

from enum import StrEnum

from hypothesis import strategies as st

from jobs.settings import OnUncertain
from tests.factories import PRICE


class Fate(StrEnum):
    """What becomes of a paid call, which its worker may never hear of."""

    ACCEPTED = "accepted"
    RECEIVED = "received"
    REFUSED = "refused"
    REFUSED_FOR_GOOD = "refused for good"
    THROTTLED = "throttled"
    UNFUNDED = "unfunded"
    LOST_BUT_PAID = "lost but paid"
    LOST_ON_THE_WAY = "lost on the way"


class PollFate(StrEnum):
    """What becomes of a poll."""

    RUNNING = "running"
    MEDIA = "media"
    GONE = "gone"
    UNKNOWN_ID = "unknown id"


#: Of these calls the API keeps the money.
PAID_FATES = frozenset({Fate.ACCEPTED, Fate.RECEIVED, Fate.LOST_BUT_PAID})

#: Which of the things there are, whatever their number.
choices = st.integers(min_value=0, max_value=11)
fates = st.sampled_from(Fate)
poll_fates = st.sampled_from(PollFate)
policies: st.SearchStrategy[OnUncertain] = st.sampled_from(["retry", "hold", "fail"])
#: Budgets that are none, or too small for many jobs.
budgets = st.none() | st.integers(min_value=0, max_value=5).map(lambda jobs: jobs * PRICE)
minutes = st.integers(min_value=1, max_value=5)
#: What the API answers in one round after the other.
courses = st.lists(st.tuples(fates, poll_fates), min_size=1, max_size=5)
