"""`python -m healthmon.bench.agent`: `healthmon run` for one component of the campaign; it ends with its parent."""

from __future__ import annotations

import sys

import anyio

from healthmon.agent.supervise import supervise
from healthmon.agent.supervise_plan import Plan
from healthmon.bench.child import orders
from healthmon.logs import set_up

PROGRAM = "healthmon.bench.patient"


def main() -> None:
    """Run until SIGTERM or the parent's end."""
    given = orders()
    set_up("error", "text")
    plan = Plan(
        component_id=given["id"],
        command=(sys.executable, "-m", PROGRAM),
        redis_url=given["url"],
        prefix=given["prefix"],
        interval_s=given["interval_s"],
        known_url=given["url"],
        own_heartbeats=True,
        stop_timeout_s=1.0,
    )
    anyio.run(supervise, plan)


if __name__ == "__main__":
    main()
