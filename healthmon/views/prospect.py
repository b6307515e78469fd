"""What lies upon a component beside its state, and what healthmon does next about it, in a few words for one line.

Pure: the stored fields of a record, and now as an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from healthmon.core.component import HealthState
from healthmon.views.picture import time_of
from healthmon.views.words import duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_METHOD: Final = ("", "none")


def prospect(record: Mapping[str, str], now_ms: int) -> str:
    """`restart attempt 3/5 in 21 s; held by ann: disk`: what is done next, then the overlays; "" for nothing."""
    return "; ".join((*_next(record, now_ms), *_overlays(record, now_ms)))


def attempt_of(record: Mapping[str, str], *, ahead: int = 0) -> str:
    """`restart attempt 3/5`, the one that is under way; `ahead` 1: the next one."""
    done, most = record.get("restart_attempt", ""), record.get("restart_max", "")
    number = str(int(done) + ahead) if done.isdecimal() else "?"
    return f"restart attempt {number}/{most}" if most else f"restart attempt {number}"


def silenced_for_ms(record: Mapping[str, str], now_ms: int) -> int:
    """How long a silence still lies upon it, 0 for none."""
    return max(0, time_of(record, "silenced_until") - now_ms)


def _next(record: Mapping[str, str], now_ms: int) -> Iterator[str]:
    match record.get("state", ""):
        case HealthState.DEAD if due_ms := time_of(record, "next_restart_at"):
            attempt = attempt_of(record, ahead=1)
            if due_ms > now_ms:
                yield f"{attempt} in {duration(due_ms - now_ms)}"
            elif waits := record.get("restart_waits", ""):
                yield f"{attempt} waits: {printable(waits)}"
            else:
                yield f"{attempt} is due"
        case HealthState.RESTARTING:
            taken = record.get("restart_taken", "")
            yield f"taken by {printable(taken)}" if taken else "not taken yet"
        case HealthState.PERMANENTLY_FAILED:
            method = record.get("restart_method", "none")
            yield "`revive` has it watched anew" if method in _NO_METHOD else "`revive` restarts it"


def _overlays(record: Mapping[str, str], now_ms: int) -> Iterator[str]:
    """Who knows, held, breaker and flapping; what the sentence before says already is left out."""
    if acknowledged := record.get("acknowledged_by", ""):
        yield f"acknowledged by {printable(acknowledged)}"
    if left_ms := silenced_for_ms(record, now_ms):
        by, reason = printable(record.get("silenced_by", "")), printable(record.get("silenced_reason", ""))
        yield f"silenced for {duration(left_ms)} by {by}: {reason}"
    held = record.get("held", "")
    if held and not record.get("restart_waits", "").startswith("held"):
        yield f"held {printable(held)}"
    if record.get("circuit_breaker_state") == "open" and "breaker" not in record.get("reason", ""):
        retry_ms = time_of(record, "breaker_retry_at")
        yield f"breaker open, tried again in {duration(retry_ms - now_ms)}" if retry_ms > now_ms else "breaker open"
    if record.get("flapping") and "flapping" not in record.get("reason", ""):
        yield "flapping"
