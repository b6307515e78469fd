"""How one component is judged: what its policy sets, and the limits that follow with the defaults and its interval."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.score import DEFAULT_ROWS, Row
from healthmon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

# An announced interval is bounded, or one heartbeat could excuse itself for a year. A policy may set its own interval.
INTERVAL_MS_MAX: Final = 3_600_000
# A heartbeat is late only when a second one is: 2, 3 and 4 announced intervals are the least the stages can be.
STAGE_INTERVALS: Final = (2, 3, 4)
_NUMBER_MAX: Final = 1e15  # far beyond it the double of a limit is no finite number any more
_DURATIONS: Final = ("interval", "heartbeat_timeout", "degraded_threshold", "dead_threshold", "startup_timeout")
_RESTART_FIELDS: Final = ("max_retries", "base_delay", "max_delay", "exponential_base", "jitter")
_BREAKER_FIELDS: Final = ("failure_threshold", "recovery_timeout", "success_threshold")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a policy sets nothing. Milliseconds; the settings of the leading replica."""

    heartbeat_timeout_ms: int = 45_000
    degraded_threshold_ms: int = 90_000
    dead_threshold_ms: int = 180_000
    startup_timeout_ms: int = 120_000
    recovery_heartbeats: int = 2
    max_retries: int = 5
    reset_after_ms: int = 600_000
    forget_after_ms: int = 604_800_000
    forget_after_unknown_ms: int = 3_600_000
    max_components: int = 1_000_000
    new_components_per_minute: int = 0
    auto_register: bool = True


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
    restart: Mapping[str, float | int | bool] = field(default_factory=dict, hash=False)
    breaker: Mapping[str, float | int] = field(default_factory=dict, hash=False)

    @property
    def always_expected(self) -> bool:
        return self.expected == "always"

    def to_json(self) -> str:
        """Only what is set, as JSON, keys in order: equal policies have equal text."""
        return "{}" if self == DEFAULT_POLICY else self._written()

    def _written(self) -> str:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {name: value for name, value in given.items() if value is not None and value != {}}
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
                f.name: parts[f.name] if parts[f.name] not in (None, {}) else getattr(self, f.name)
                for f in fields(self)
            }
        )


DEFAULT_POLICY: Final = Policy()


@lru_cache(maxsize=4096)
def _limits(policy: Policy, defaults: Defaults, interval_ms: int) -> Limits:
    """Components of a kind share one object."""
    paced = policy.interval_ms or min(interval_ms, INTERVAL_MS_MAX)
    floors = [paced * times for times in STAGE_INTERVALS]
    # A long interval puts an earlier stage off at most until a later one that the policy sets: the stages rise.
    dead_ms = _or(policy.dead_threshold, max(defaults.dead_threshold_ms, floors[2]))
    degraded_ms = _or(policy.degraded_threshold, max(defaults.degraded_threshold_ms, min(floors[1], dead_ms)))
    return Limits(
        timeout_ms=_or(policy.heartbeat_timeout, max(defaults.heartbeat_timeout_ms, min(floors[0], degraded_ms))),
        degraded_ms=degraded_ms,
        dead_ms=dead_ms,
        startup_ms=_or(policy.startup_timeout, defaults.startup_timeout_ms),
        recovery_heartbeats=policy.recovery_heartbeats or defaults.recovery_heartbeats,
        crash_loop=int(policy.restart.get("max_retries", defaults.max_retries)),
        reset_after_ms=defaults.reset_after_ms,
        rows={**DEFAULT_ROWS, **policy.score} if policy.score else DEFAULT_ROWS,
    )


def _or(seconds: float | None, otherwise_ms: int) -> int:
    return otherwise_ms if seconds is None else round(seconds * 1000)


def parse_policy(given: Mapping[str, Any], defaults: Defaults) -> Policy:
    """A policy from its JSON object. Raises Refused: which part, what is wrong, what is right."""
    known = {f.name for f in fields(Policy)}
    for name in given:
        if name not in known:
            raise Refused(f"policy has no part {name!r}; it has {', '.join(sorted(known))}")
    parts: dict[str, Any] = {name: _duration(name, given[name]) for name in _DURATIONS if given.get(name) is not None}
    if given.get("role") is not None:
        parts["role"] = _text("role", given["role"])
    if given.get("expected") is not None:
        if given["expected"] not in ("always", "sometimes"):
            raise Refused(f"policy expected is {given['expected']!r}; it is 'always' or 'sometimes'")
        parts["expected"] = given["expected"]
    if given.get("recovery_heartbeats") is not None:
        parts["recovery_heartbeats"] = _count("recovery_heartbeats", given["recovery_heartbeats"], least=1)
    parts["score"] = _rows(given.get("score") or {})
    parts["restart"] = _numbers("restart", given.get("restart") or {}, _RESTART_FIELDS)
    parts["breaker"] = _numbers("breaker", given.get("breaker") or {}, _BREAKER_FIELDS)
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
    base, most = policy.restart.get("base_delay"), policy.restart.get("max_delay")
    if base is not None and most is not None and base > most:
        raise Refused(f"restart policy base_delay {base:g} s is above max_delay {most:g} s")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _NUMBER_MAX:
        raise Refused(f"policy {name} is {value!r}; it must be a number")
    return value


def _duration(name: str, value: object) -> float:
    seconds = _number(name, value)
    if not 0.001 <= seconds <= 10 * 365 * 86_400:
        raise Refused(f"policy {name} is {seconds:g} s; it must be between 1 ms and 10 years")
    return float(seconds)


def _count(name: str, value: object, *, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Refused(f"policy {name} is {value!r}; it must be a whole number of at least {least}")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 128 or not value.isprintable():
        raise Refused(f"policy {name} must be text of at most 128 characters that can be shown")
    return value


def _rows(given: object) -> dict[str, Row]:
    if not isinstance(given, dict):
        raise Refused("policy score must map metric names to [good, warn, critical]")
    rows = {}
    for name, row in given.items():
        if not isinstance(row, list | tuple) or len(row) != 3:
            raise Refused(f"policy score row {name!r} must be [good, warn, critical]")
        good, warn, critical = (float(_number(f"score row {name}", value)) for value in row)
        if not (good < warn < critical or good > warn > critical >= 0):
            raise Refused(f"policy score row {name!r} must rise or fall all the way: good, warn, critical")
        rows[str(name)] = Row(good, warn, critical)
    return rows


def _numbers(part: str, given: object, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Refused(f"policy {part} must be an object of {', '.join(names)}")
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in names:
            raise Refused(f"policy {part} has no {name!r}; it has {', '.join(names)}")
        if name == "jitter":
            if not isinstance(value, bool):
                raise Refused("policy restart jitter must be true or false")
            checked[name] = value
        elif name in ("max_retries", "failure_threshold", "success_threshold"):
            checked[name] = _count(f"{part} {name}", value, least=0 if name == "max_retries" else 1)
        else:
            checked[name] = _duration(f"{part} {name}", value)
    return checked
