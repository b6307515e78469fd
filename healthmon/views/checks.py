"""The circuit breaker of a component, its probes, and flapping, as an explanation tells them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.alert import rfc3339
from healthmon.core.breaker import PROBE, failures_of
from healthmon.core.circuit import CircuitState
from healthmon.core.component import Component
from healthmon.core.failures import OK
from healthmon.core.flapping import TURNS_CALM, WITHIN_MS, turns_within
from healthmon.settings import masked_url
from healthmon.views.words import plural, printable, seconds, when

if TYPE_CHECKING:
    from datetime import tzinfo

_OPENED_BY: Final = {
    PROBE: "failed probes",
    "words": "heartbeats that said failing",
    "recorded": "recorded failures",
    "restart": "failed restarts",
}


@dataclass(frozen=True, slots=True)
class BreakerView:
    """The breaker as it stands. `failures`: in a row; `limit` of them open it, `successes` close it half open."""

    state: str
    since_ms: int
    retry_ms: int
    opened_by: str
    detail: str
    failures: int
    limit: int
    successes: int
    reopened: int
    heard_too: bool


@dataclass(frozen=True, slots=True)
class ProbeView:
    """How it is probed, and what the last probe found; `outcome` "" before the first."""

    target: str
    every_ms: int
    at_ms: int
    outcome: str
    detail: str
    failed: int


def breaker_of(component: Component) -> BreakerView:
    """The breaker, with the failure that counts as the last one."""
    breaker, limits, probes, failures = component.breaker, component.limits, component.probes, component.failures
    probe_is_later = bool(probes.failed) and probes.at_ms >= failures.at_ms
    return BreakerView(
        state=breaker.state,
        since_ms=breaker.at_ms,
        retry_ms=breaker.until_ms if breaker.state == CircuitState.OPEN else 0,
        opened_by=breaker.by if breaker.state != CircuitState.CLOSED else "",
        detail=printable(probes.detail if probe_is_later else failures.detail),
        failures=failures_of(component),
        limit=limits.breaker.failures,
        successes=limits.breaker.successes,
        reopened=breaker.reopened,
        heard_too=breaker.by != PROBE or limits.probe is None,
    )


def probe_of(component: Component) -> ProbeView | None:
    """How it is probed; nothing where it is not."""
    limits, probes = component.limits.probe, component.probes
    if limits is None:
        return None
    return ProbeView(
        _target(component), limits.every_ms, probes.at_ms, probes.outcome, printable(probes.detail), probes.failed
    )


def _target(component: Component) -> str:
    probe = component.policy.probe
    if probe.get("url"):
        return printable(masked_url(str(probe["url"])))
    return printable(" ".join(map(str, probe["exec"]))) if probe.get("exec") else "a Python callable"


# -- for people and for programs -------------------------------------------------------------------------------------


def breaker_sentence(breaker: BreakerView, now_ms: int, zone: tzinfo | None) -> str:
    """What there is to tell: "" of a closed one without failures."""
    last = f", the last: {breaker.detail}" if breaker.detail else ""
    if breaker.state == CircuitState.CLOSED:
        counted = f"closed; {breaker.failures} of {plural(breaker.limit, 'failure')} in a row{last}"
        return counted if breaker.failures else ""
    by = _OPENED_BY.get(breaker.opened_by, breaker.opened_by or "failures")
    again = f", reopened {plural(breaker.reopened, 'time')}" if breaker.reopened else ""
    if breaker.state == CircuitState.OPEN:
        ok = ", or at its next ok heartbeat" if breaker.heard_too else ""
        retry = f"one try at {when(breaker.retry_ms, now_ms, zone)}{ok}"
        return f"open since {when(breaker.since_ms, now_ms, zone)} by {by}{last}{again}; {retry}"
    close = f"{plural(breaker.successes, 'success', 'successes')} in a row close it, one failure opens it for longer"
    return f"half open since {when(breaker.since_ms, now_ms, zone)}, it had been opened by {by}{again}; {close}"


def probe_sentence(probe: ProbeView, now_ms: int, zone: tzinfo | None) -> str:
    """`tcp://db:5432 every 15 s; the last 14:30:58 (4 s ago): refused: …`."""
    paced = f"{probe.target} every {seconds(probe.every_ms)}"
    if not probe.at_ms:
        return f"{paced}; none yet"
    found = probe.outcome if probe.outcome == OK else f"{probe.outcome}: {probe.detail}".rstrip(": ")
    row = f" ({probe.failed} in a row)" if probe.failed > 1 else ""
    return f"{paced}; the last {when(probe.at_ms, now_ms, zone)}: {found}{row}"


def flapping_sentence(component: Component, now_ms: int, zone: tzinfo | None) -> str:
    """Since when and how much it changes, and when that is over; "" where it is not flapping."""
    if not component.flapping:
        return ""
    minutes = WITHIN_MS // 60_000
    count = turns_within(component, now_ms)
    told = f"since {when(component.flapping, now_ms, zone)}, {plural(count, 'time')} no longer healthy in {minutes} m"
    return f"{told}; over when it is {plural(TURNS_CALM, 'time')} at most"


def breaker_json(breaker: BreakerView) -> dict[str, Any]:
    """The breaker for a program."""
    return {
        "state": breaker.state,
        "since": rfc3339(breaker.since_ms) or None,
        "retry_at": rfc3339(breaker.retry_ms) or None,
        "opened_by": breaker.opened_by or None,
        "failures": breaker.failures,
        "failure_threshold": breaker.limit,
        "detail": breaker.detail or None,
        "reopened": breaker.reopened,
    }


def probe_json(probe: ProbeView) -> dict[str, Any]:
    """The probe for a program."""
    return {
        "target": probe.target,
        "interval_s": probe.every_ms / 1000,
        "last_at": rfc3339(probe.at_ms) or None,
        "outcome": probe.outcome or None,
        "detail": probe.detail or None,
        "failed": probe.failed,
    }
