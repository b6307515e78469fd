"""`healthmon keys`: every Redis key of this data, and the redis-cli line for each question."""

from __future__ import annotations

from typing import Final

from healthmon.cli.options import Form, Output, Prefix
from healthmon.cli.output import is_for_people, say, say_all, terminal
from healthmon.settings import load_settings
from healthmon.store.founding import help_text
from healthmon.store.keys import Keys, rows_of

_HEAD: Final = ("KEY", "TYPE", "EXPIRES", "WHAT IT IS")


def keys(output: Output = Form.TABLE, prefix: Prefix = None) -> None:
    """List every Redis key with its type, when it expires and what it is, and a redis-cli line for each question."""
    named = Keys(load_settings(prefix=prefix).prefix)
    rows = rows_of(named)
    if not is_for_people(output):
        say_all(
            output,
            [{"key": row.name, "type": row.type, "expires": row.expires, "meaning": row.meaning} for row in rows],
            "key",
        )
        return
    screen = terminal()
    say(screen.table(_HEAD, [(row.name, row.type, row.expires, row.meaning) for row in rows]))
    say(["", *(screen.plain(line) for line in help_text(named).splitlines())])
