"""The kinds of probe, and the one way to make a probe of any kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

import anyio

from healthmon import clock
from healthmon.probes import callable as callables
from healthmon.probes import http, program, redis, tcp
from healthmon.probes.detail import is_ours, is_refusal, one_line, told
from healthmon.probes.spec import Outcome, ProbeResult, Spec


class Kind(Protocol):
    """One kind of probe. It need not bound its time: `probe` does, by cancelling it."""

    async def __call__(self, spec: Spec, /) -> str:
        """A short detail when what is probed is well. Raises ProbeFailed, OSError or whatever else tells why not."""
        ...


KINDS: Final[Mapping[str, Kind]] = {
    "http": http.probe,
    "https": http.probe,
    "tcp": tcp.probe,
    "redis": redis.probe,
    "rediss": redis.probe,
    "unix": redis.probe,
    "exec": program.probe,
    "callable": callables.probe,
}
_HUNG: Final = {"exec": "did not end", "callable": "did not return"}


async def probe(spec: Spec, timeout_s: float) -> ProbeResult:
    """Make one probe. Never raises but when cancelled; ends within `timeout_s` seconds, and what it began with it."""
    begun_s = clock.monotonic_s()
    outcome: Outcome = "failed"
    detail = f"{_HUNG.get(spec.kind, 'no answer')} within {timeout_s:g} s"
    with anyio.move_on_after(timeout_s):
        outcome, detail = await _made(spec)
    ms = math.ceil((clock.monotonic_s() - begun_s) * 1000)
    return ProbeResult(outcome, ms, one_line(detail, spec.url))


async def _made(spec: Spec) -> tuple[Outcome, str]:
    try:
        return "ok", await KINDS[spec.kind](spec)
    except Exception as error:  # a kind's library raises whatever the other side provokes
        if is_ours(error):
            return "unmade", told(error)
        return "refused" if is_refusal(error) else "failed", told(error)
