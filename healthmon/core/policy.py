"""How one component is judged: what its policy sets, and the limits that follow with the defaults and its interval."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Final

from healthmon.core.policy_values import breaker_of, count, duration, ids_of, probe_of, restart_of, rows_of, text_of
from healthmon.core.score import DEFAULT_ROWS, Row
from healthmon.errors import Refused

# An announced interval is bounded, or one heartbeat could excuse itself for a year. A policy may set its own interval.
INTERVAL_MS_MAX: Final = 3_600_000
# A heartbeat is late only when a second one is: 2, 3 and 4 announced intervals are the least the stages can be.
STAGE_INTERVALS: Final = (2, 3, 4)
_DURATIONS: Final = ("interval", "heartbeat_timeout", "degraded_threshold", "dead_threshold", "startup_timeout")
# A breaker that reopens stays open for twice as long, and never longer than this [specification].
RECOVERY_MS_MAX: Final = 600_000
NEVER_MS: Final = 1 << 62
REPORTS_EVERY_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a policy sets nothing. Milliseconds; the settings of the leading replica."""

    heartbeat_timeout_ms: int = 45_000
    degraded_threshold_ms: int = 90_000
    dead_threshold_ms: int = 180_000
    startup_timeout_ms: int = 120_000
    recovery_heartbeats: int = 2
    max_retries: int = 5
    base_delay_ms: int = 5_000
    max_delay_ms: int = 300_000
    exponential_base: float = 2.0
    restart_timeout_ms: int = 60_000
    reset_after_ms: int = 600_000
    failure_threshold: int = 5
    recovery_timeout_ms: int = 60_000
    success_threshold: int = 2
    check_interval_ms: int = 15_000
    probe_timeout_ms: int = 5_000
    restarts_concurrent: int = 5
    restarts_per_minute: int = 20
    auto_restart: bool = True
    circuit_breakers: bool = True
    mass_failure: bool = True
    forget_after_ms: int = 604_800_000
    forget_after_unknown_ms: int = 3_600_000
    max_components: int = 1_000_000
    new_components_per_minute: int = 0
    auto_register: bool = True


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """How one component is restarted. `method`: "" where none is set. `auto`: restarted without being asked."""

    method: str
    max_retries: int
    base_ms: int
    most_ms: int
    factor: float
    jitter: bool
    timeout_ms: int
    auto: bool


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Failures in a row that open, how long it is open at first, successes that close; `on` False: it never opens."""

    failures: int
    recovery_ms: int
    successes: int
    on: bool


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """How often a probed component is probed, and how long one probe may take, milliseconds."""

    every_ms: int
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force for one component, milliseconds."""

    timeout_ms: int
    degraded_ms: int
    dead_ms: int
    startup_ms: int
    recovery_heartbeats: int
    crash_loop: int
    reset_after_ms: int
    rows: Mapping[str, Row] = field(hash=False)
    restart: RestartLimits
    breaker: BreakerLimits
    probe: ProbeLimits | None


@dataclass(frozen=True, slots=True)
class Policy:
    """What was set for one component; None or empty means the default. Durations in seconds, as they are written."""

    role: str | None = None
    interval: float | None = None
    heartbeat_timeout: float | None = None
    degraded_threshold: float | None = None
    dead_threshold: float | None = None
    startup_timeout: float | None = None
    expected: str | None = None
    recovery_heartbeats: int | None = None
    score: Mapping[str, Row] = field(default_factory=dict, hash=False)
    restart: Mapping[str, Any] = field(default_factory=dict, hash=False)
    breaker: Mapping[str, float | int] = field(default_factory=dict, hash=False)
    probe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    depends_on: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """Of all parts: policies that differ in their probes alone must not share one hash, there are thousands."""
        parts = [getattr(self, one.name) for one in fields(self)]
        return hash(tuple(tuple(sorted(map(repr, p.items()))) if isinstance(p, Mapping) else p for p in parts))

    @property
    def always_expected(self) -> bool:
        return self.expected == "always"

    @property
    def restarts(self) -> bool:
        """Whether somebody meant the component to be restarted: without a method, by a handler."""
        return bool(self.restart) and self.restart.get("method") != "none" and self.restart.get("max_retries") != 0

    def to_json(self) -> str:
        """Only what is set, as JSON, keys in order: equal policies have equal text."""
        return "{}" if self == DEFAULT_POLICY else self._written()

    def _written(self) -> str:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {name: value for name, value in given.items() if value is not None and value not in ({}, ())}
        kept = {
            name: {k: list(v) for k, v in value.items()} if name == "score" else value for name, value in kept.items()
        }
        return json.dumps(kept, sort_keys=True, separators=(",", ":"))

    def limits(self, defaults: Defaults, interval_ms: int = 0) -> Limits:
        """The limits that follow. `interval_ms` is the announced one, 0 when none was; the policy's own comes first."""
        return _limits(self, defaults, interval_ms)

    @property
    def interval_ms(self) -> int:
        return _or(self.interval, 0)

    def merged(self, given: Policy) -> Policy:
        """This policy with the parts that the other sets in their place: what is not named is kept."""
        parts = {f.name: getattr(given, f.name) for f in fields(self)}
        return Policy(
            **{
                f.name: parts[f.name] if parts[f.name] not in (None, {}, ()) else getattr(self, f.name)
                for f in fields(self)
            }
        )


DEFAULT_POLICY: Final = Policy()


@lru_cache(maxsize=4096)
def _limits(policy: Policy, defaults: Defaults, interval_ms: int) -> Limits:
    """Components of a kind share one object."""
    paced = policy.interval_ms or min(interval_ms, INTERVAL_MS_MAX) or _probe_pace(policy, defaults)
    floors = [paced * times for times in STAGE_INTERVALS]
    # A long interval puts an earlier stage off at most until a later one that the policy sets: the stages rise.
    dead_ms = _or(policy.dead_threshold, max(defaults.dead_threshold_ms, floors[2]))
    degraded_ms = _or(policy.degraded_threshold, max(defaults.degraded_threshold_ms, min(floors[1], dead_ms)))
    restart = _restart_limits(policy, defaults)
    return Limits(
        timeout_ms=_or(policy.heartbeat_timeout, max(defaults.heartbeat_timeout_ms, min(floors[0], degraded_ms))),
        degraded_ms=degraded_ms,
        dead_ms=dead_ms,
        startup_ms=_or(policy.startup_timeout, defaults.startup_timeout_ms),
        recovery_heartbeats=policy.recovery_heartbeats or defaults.recovery_heartbeats,
        crash_loop=restart.max_retries,
        reset_after_ms=_or(policy.restart.get("reset_after"), defaults.reset_after_ms),
        rows={**DEFAULT_ROWS, **policy.score} if policy.score else DEFAULT_ROWS,
        restart=restart,
        breaker=_breaker_limits(policy, defaults),
        probe=_probe_limits(policy, defaults) if policy.probe else None,
    )


def _probe_pace(policy: Policy, defaults: Defaults) -> int:
    """How often one that lives by probes alone is heard of: results are reported once a second."""
    return _probe_limits(policy, defaults).every_ms + REPORTS_EVERY_MS if policy.probe else 0


def _restart_limits(policy: Policy, defaults: Defaults) -> RestartLimits:
    given = policy.restart
    # Of a pair of which only one is set the other gives way: a policy with base_delay 400 waits 400 s.
    base_ms = _or(given.get("base_delay"), min(defaults.base_delay_ms, _or(given.get("max_delay"), NEVER_MS)))
    return RestartLimits(
        method=str(given.get("method", "handler" if given else "")),
        max_retries=int(given.get("max_retries", defaults.max_retries)),
        base_ms=base_ms,
        most_ms=_or(given.get("max_delay"), max(defaults.max_delay_ms, base_ms)),
        factor=float(given.get("exponential_base", defaults.exponential_base)),
        jitter=bool(given.get("jitter", True)),
        timeout_ms=_or(given.get("timeout"), defaults.restart_timeout_ms),
        auto=bool(given.get("auto", True)) and defaults.auto_restart,
    )


def _breaker_limits(policy: Policy, defaults: Defaults) -> BreakerLimits:
    given = policy.breaker
    return BreakerLimits(
        failures=int(given.get("failure_threshold", defaults.failure_threshold)),
        recovery_ms=min(_or(given.get("recovery_timeout"), defaults.recovery_timeout_ms), RECOVERY_MS_MAX),
        successes=int(given.get("success_threshold", defaults.success_threshold)),
        on=defaults.circuit_breakers,
    )


def _probe_limits(policy: Policy, defaults: Defaults) -> ProbeLimits:
    return ProbeLimits(
        every_ms=_or(policy.probe.get("interval"), defaults.check_interval_ms),
        timeout_ms=_or(policy.probe.get("timeout"), defaults.probe_timeout_ms),
    )


def _or(seconds: float | None, otherwise_ms: int) -> int:
    return otherwise_ms if seconds is None else round(seconds * 1000)


def parse_policy(given: Mapping[str, Any], defaults: Defaults) -> Policy:
    """A policy from its JSON object. Raises Refused: which part, what is wrong, what is right."""
    known = {f.name for f in fields(Policy)}
    for name in given:
        if name not in known:
            raise Refused(f"policy has no part {name!r}; it has {', '.join(sorted(known))}")
    parts: dict[str, Any] = {name: duration(name, given[name]) for name in _DURATIONS if given.get(name) is not None}
    if given.get("role") is not None:
        parts["role"] = text_of("role", given["role"])
    if given.get("expected") is not None:
        if given["expected"] not in ("always", "sometimes"):
            raise Refused(f"policy expected is {given['expected']!r}; it is 'always' or 'sometimes'")
        parts["expected"] = given["expected"]
    if given.get("recovery_heartbeats") is not None:
        parts["recovery_heartbeats"] = count("recovery_heartbeats", given["recovery_heartbeats"], least=1)
    parts["score"] = rows_of(given.get("score") or {})
    parts["restart"] = restart_of(given.get("restart") or {})
    parts["breaker"] = breaker_of(given.get("breaker") or {})
    parts["probe"] = probe_of(given.get("probe") or {})
    parts["depends_on"] = ids_of("depends_on", given.get("depends_on") or ())
    policy = Policy(**parts)
    _check_relations(policy, defaults)
    return policy


@lru_cache(maxsize=1024)
def read_policy(text: str, defaults: Defaults) -> Policy:
    """A policy from its stored or sent JSON text; the empty text is the default policy. Raises Refused."""
    if not text:
        return DEFAULT_POLICY
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"policy is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise Refused("policy is no JSON object")
    return parse_policy(given, defaults)


def _check_relations(policy: Policy, defaults: Defaults) -> None:
    limits = policy.limits(defaults)
    if not limits.timeout_ms < limits.degraded_ms < limits.dead_ms:
        raise Refused(
            "policy thresholds must rise: heartbeat_timeout < degraded_threshold < dead_threshold, "
            f"but they are {limits.timeout_ms / 1000:g}, {limits.degraded_ms / 1000:g}, {limits.dead_ms / 1000:g} s"
        )
    if policy.restarts and limits.reset_after_ms <= limits.startup_ms + limits.timeout_ms:
        raise Refused(
            f"restart policy could never give up: reset_after {limits.reset_after_ms / 1000:g} s must be above "
            f"startup_timeout {limits.startup_ms / 1000:g} s plus heartbeat_timeout {limits.timeout_ms / 1000:g} s, or "
            "attempts count from 0 again before a failed start shows; raise the first or lower one of the others"
        )
