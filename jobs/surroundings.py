"""What `.env` says before a setting is read from it, and which names no setting is read from."""

import os
from collections.abc import Iterator, Set
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from jobs.errors import SettingsError

OURS = "DARKROOM_"
#: Read by the Python client, and by the experiments that kill processes at a chosen place.
NOT_SETTINGS = {"DARKROOM_URL", "DARKROOM_KEY", "DARKROOM_CRASH_AT", "DARKROOM_CRASH_ONCE"}


def names_in(env_file: Path) -> list[str]:
    """The names that the file sets; raises SettingsError for one that cannot be understood.

    A line that is passed over may be the one with the key, and without a key all is play.
    """
    names = []
    for binding in parse_stream(StringIO(text_of(env_file))):
        if binding.error:
            # What the line holds is not shown: it may be a key.
            said = binding.original.string
            blank = said[: len(said) - len(said.lstrip())].count("\n")
            raise SettingsError(
                f"{env_file}, line {binding.original.line + blank}: is not NAME=VALUE; "
                "quote a value with blanks or quotes, and begin a comment with #"
            )
        names += [binding.key] if binding.key else []
    return names


def text_of(env_file: Path) -> str:
    """What the file says; nothing where there is none."""
    try:
        text = env_file.read_text("utf-8") if env_file.is_file() else ""
    except OSError as error:
        raise SettingsError(f"{env_file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{env_file}, line {line}: is not UTF-8; save it as UTF-8") from error
    if text.startswith("\N{BYTE ORDER MARK}"):
        raise SettingsError(f"{env_file}, line 1: has a byte order mark; save it without one")
    return text


def strangers(env_file: Path, known: Set[str]) -> Iterator[str]:
    """A line for each name that looks like a setting of ours and is none."""
    for name in sorted({*os.environ, *names_in(env_file)}):
        if not name.upper().startswith(OURS) or name.upper() in known | NOT_SETTINGS:
            continue
        close = get_close_matches(name.upper(), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        yield f"{name} is no setting and is passed over{hint}"
