"""What was found wrong with a component from outside its heartbeats' timing: counted in a row, as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures in a row by source, and in all. `words`: heartbeats that said failing. `recorded`: by `record_failure`.

    `at_ms`, `source` and `detail` are of the latest one. `ok_ms`: the last ok heartbeat before others came.
    """

    words: int = 0
    recorded: int = 0
    total: int = 0
    source: str = ""
    detail: str = ""
    at_ms: int = 0
    ok_ms: int = 0


@dataclass(frozen=True, slots=True)
class Probes:
    """What the probes of the latest breaker generation found, in a row. `ok_ms`: when the last good one came."""

    at_ms: int = 0
    ok_ms: int = 0
    generation: int = 0
    failed: int = 0
    good: int = 0
    outcome: str = ""
    detail: str = ""


# What a probe found. Refused is proof that nobody listens; a probe that timed out proves nothing.
OK: Final = "ok"
REFUSED: Final = "refused"
NO_FAILURES: Final = Failures()
NO_PROBES: Final = Probes()
