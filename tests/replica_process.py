"""One replica as a process of its own: settings from the environment, log lines on stderr.

VERBS_FROM names a folder with other texts for some of the scripts: a story proves with it what each line is for.
"""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from healthmon.logs import set_up
from healthmon.run import make_replica, run_monitor
from healthmon.settings import load_settings
from healthmon.store.scripts import Scripts


def main() -> None:
    settings = load_settings()
    set_up("info", "text")
    folder = os.environ.get("VERBS_FROM")
    if not folder:
        return run_monitor(settings)
    changed = {path.stem: path.read_text() for path in Path(folder).glob("*.lua")}
    return anyio.run(make_replica(settings, Scripts(changed)).run)


if __name__ == "__main__":
    main()
