"""`redis://`, `rediss://`, `unix://`: a PING to a Redis server, with the login that stands in the URL."""

from __future__ import annotations

from healthmon.probes.spec import Spec
from healthmon.store.ping import ping


async def probe(spec: Spec) -> str:
    """`PONG`. Raises what `ping` raises."""
    await ping(spec.url)
    return "PONG"
