"""The sections in their order, and the server under them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from healthmon.bench import arriving, latency, lateness, memory, processor, publishing, reading, takeover
from healthmon.bench.figures import Row
from healthmon.bench.ground import Ground
from healthmon.bench.plan import Plan
from healthmon.store.embedded import embedded_server

SECTIONS: Final[Mapping[str, Callable[[Ground], Awaitable[list[Row]]]]] = {
    "reading": reading.measure,
    "publishing": publishing.measure,
    "arriving": arriving.measure,
    "latency": latency.measure,
    "lateness": lateness.measure,
    "takeover": takeover.measure,
    "memory": memory.measure,
    "processor": processor.measure,
}


async def run_bench(
    plan: Plan, *, url: str | None = None, only: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """Measure every section, or those named; a server of its own unless a URL is given, where a prefix of its own is
    used and removed. `say` hears what is being measured.

    Raises ConfigurationError and StoreUnavailable.
    """
    if url is None:
        async with embedded_server() as server:
            return await _measured(Ground(server.url, plan, say), only)
    return await _measured(Ground(url, plan, say), only)


async def _measured(ground: Ground, only: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for name, measure in SECTIONS.items():
        if not only or name in only:
            rows += await measure(ground)
    return rows
