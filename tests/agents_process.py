"""Many `healthmon run` from one process: each is forked from here, so that fifty cost what a few do started alone.

Each line of standard input is one agent to start, as JSON; its answer is a line with the pid. All end with this
process. VERBS_FROM names a folder with other texts for some scripts, as for replicas.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from healthmon.agent import supervise as agent
from healthmon.agent.supervise_plan import Plan
from healthmon.logs import set_up
from healthmon.store.scripts import Scripts

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    folder = os.environ.get("VERBS_FROM")
    if folder:
        changed = {path.stem: path.read_text() for path in Path(folder).glob("*.lua")}
        vars(agent)["Scripts"] = partial(Scripts, changed)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how an agent ended
    gc.freeze()
    for line in sys.stdin:
        given = json.loads(line)
        pid = os.fork()
        if pid == 0:
            be_agent(given)
        print(json.dumps({"id": given["id"], "pid": pid}), flush=True)


def be_agent(given: dict[str, Any]) -> None:
    """Never returns."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    base = Path(given["folder"])
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(base / f"{given['id']}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number, source in enumerate((null, log, log)):
        os.dup2(source, number)
    set_up("info", "text")
    plan = Plan(
        component_id=given["id"],
        command=tuple(given["command"]),
        redis_url=given["url"],
        prefix=given["prefix"],
        interval_s=given["interval"],
        policy=given["policy"],
        stop_timeout_s=given["stop_timeout"],
        journal=base / f"{given['id']}.journal",
    )
    code = 1
    try:
        code = anyio.run(agent.supervise, plan)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
