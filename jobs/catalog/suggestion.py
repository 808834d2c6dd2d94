"""What somebody who misspelled a name may have meant."""

from difflib import get_close_matches
from functools import lru_cache

#: Longer than any name of the catalog; comparing long texts takes long.
LONGEST_NAME = 64


# A column that is misspelled in a manifest comes back with each of its rows.
@lru_cache(maxsize=1024)
def did_you_mean(name: str, names: tuple[str, ...]) -> str:
    """`; did you mean a or b?`, or nothing if no name is close."""
    if len(name) > LONGEST_NAME:
        return ""
    close = get_close_matches(name, names, n=3)
    if not close:
        # People leave out the first half of an operation's name.
        close = [known for known in names if name and name in known.split("/")][:3]
    return f"; did you mean {' or '.join(close)}?" if close else ""
