"""`python -m healthmon.up.replica NAME`: one replica, a child of `up`. The name is for those who read a process list.

Standard input is its lifeline: the first line holds the parent's pid and the settings, and the kernel closes it when
the parent is gone. Everything is imported before that line is read, while the parent starts the server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from healthmon.demo.lifeline import wake_when_orphaned
from healthmon.errors import HealthmonError
from healthmon.logs import set_up
from healthmon.run import run_monitor
from healthmon.settings import load_settings
from healthmon.store.guardian import end_with_parent
from healthmon.up.address import take_away

if TYPE_CHECKING:
    from collections.abc import Callable

    from healthmon.settings import Settings


def live(work: Callable[[Settings, dict[str, Any]], None]) -> int:
    """Do this with the settings and the whole greeting, until SIGTERM or the parent's end. The command's exit code."""
    wake_when_orphaned()
    line = sys.stdin.readline()
    if not line:
        return 0
    greeting = json.loads(line)
    given = greeting["settings"]
    signal.signal(signal.SIGTERM, _leave)  # until the replica's own handler stands
    try:
        end_with_parent(sys.stdin.fileno())
        settings = load_settings(**given)
        set_up(settings.log_level, settings.log_format)
        work(settings, greeting)
    except HealthmonError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the parent puts it on the screen
        return error.exit_code
    finally:
        if os.getppid() != greeting["parent"]:
            take_away(given["redis_url"])  # a parent that was killed could not
    return 0


def _leave(*_: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(live(lambda settings, _: run_monitor(settings)))
