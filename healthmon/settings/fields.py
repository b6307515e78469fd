"""Every setting: name, unit, default and its source, bounds and their reasons, and the relations between them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from healthmon.settings.bounds import number as _number
from healthmon.settings.bounds import seconds as _seconds
from healthmon.settings.bounds import switch as _switch
from healthmon.settings.forms import SERVED, check_id, check_prefix, check_url, lowered, own_replica_id, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ENVIRONMENT_PREFIX: Final = "HEALTH_"
Origin = Literal["default", "environment", "file", "argument"]

RedisUrl = Annotated[str, AfterValidator(check_url)]
KeyPrefix = Annotated[str, AfterValidator(check_prefix)]
Identifier = Annotated[str, AfterValidator(check_id)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(lowered)]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(lowered)]

_DAY: Final = 86_400.0
# Bounds that several settings share, each with its reason.
_JITTER: Final = (0.01, "ordinary pauses of a process or a network are longer")
_SILENCE: Final = (0.05, "ordinary pauses of a process or a network would look like silence")
_KEPT: Final = (30 * _DAY, "heartbeats are kept for 1.2 times the longest timeout, and that is a month's worth of them")
_NO_WAIT: Final = (0.0, "time does not run backwards")
_ONE_DAY: Final = (_DAY, "what hangs for a day would hold its place all the while")
_TEN_YEARS: Final = (3650 * _DAY, "more than ten years is a slip of the hand")
_ONE: Final = (1, "none at all is what the switches are for")
_MANY: Final = (1000, "it would in effect never happen")
_NO_LIMIT: Final = (100_000, "it would be no limit")
_WRITES: Final = (0.01, "Redis would do little else than these writes")
_REFOLD: Final = (300.0, "a cold start reads again all that came since the last write")


def notes_of(kind: type[SharedSettings], name: str) -> Mapping[str, Any]:
    """What a field says of itself beyond pydantic: unit, the reasons of its bounds, whether it decides."""
    notes = kind.model_fields[name].json_schema_extra
    return notes if isinstance(notes, dict) else {}


class Contradiction(ValueError):
    """Settings that are each right and together are not. `{name}` in a sentence stands for a setting."""

    def __init__(self, sentences: list[str], values: Mapping[str, str]) -> None:
        self.sentences = sentences
        self.values = values
        super().__init__("; ".join(self.told({})))

    def told(self, written: Mapping[str, str]) -> list[str]:
        """The sentences, with each setting as it was written and its value; one that nobody wrote is the default."""
        names = {
            name: f"{written[name]} ({value})"
            if name in written
            else f"{ENVIRONMENT_PREFIX}{name.upper()} ({value} by default)"
            for name, value in self.values.items()
        }
        return [sentence.format_map(names) for sentence in self.sentences]


class SharedSettings(BaseSettings):
    """What the monitor and its clients share: how to find Redis, and how settings are read."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    redis_url: RedisUrl = Field(
        default="redis://127.0.0.1:6379/0", repr=False, description=f"URL of the Redis that holds everything: {SERVED}"
    )
    prefix: KeyPrefix = Field(default="healthmon", description="Text that every key and channel begins with")
    config: Path | None = Field(
        default=None, description="Path of a TOML file that holds these names; none is read by itself"
    )
    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each unknown name that resembles no known one. The caller logs them."""
        return self._warnings

    def origin(self, name: str) -> Origin:
        """Where a value came from, if `load_settings` or `load_client_settings` made these; else `default`."""
        return self._origins.get(name, "default")

    def note_sources(self, origins: Mapping[str, Origin], warnings: Iterable[str]) -> None:
        """Remember where the values came from and what nobody knew: beside the settings, which stay frozen."""
        self._origins = dict(origins)
        self._warnings = tuple(warnings)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_as_number(cls, value: object, info: ValidationInfo) -> object:
        # Python takes True for 1, so that `heartbeat_timeout = true` would mean one second.
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError(f"is {shown(value)}, but this is no switch; give its value")
        return value


class ClientSettings(SharedSettings):
    """What a component's side reads: who it is, how often it beats, and where to. Frozen."""

    component_id: Identifier | None = Field(default=None, description="Id of the component that this process is")
    interval: float = _seconds(
        10.0,
        "between two heartbeats [specification]",
        (0.01, "more than a hundred heartbeats a second tell nothing more"),
        (3600.0, "a monitor takes an announced interval for an hour at most"),
    )
    incarnation: Identifier | None = Field(
        None, description="Name of this start of the component; a new one unless given"
    )
    disabled: bool = Field(default=False, description="On or off: send nothing at all")


class Settings(SharedSettings):
    """The monitor's settings. Frozen. Durations are seconds. Defaults marked [specification] are the user's own."""

    shards: int = _number(
        1,
        "Number of shards of the key space",
        (1, "each component belongs to one"),
        (1, "several shards are not served yet"),
        decides=False,
    )
    replica_id: Identifier = Field(
        default_factory=own_replica_id,
        description="Name of this replica, like no other's",
        json_schema_extra={"default": "<host>-<4 random>"},
    )

    check_interval: float = _seconds(
        15.0,
        "between active checks of a component; silence is judged without waiting for them [specification]",
        (0.01, "checks would be all that runs"),
        (_DAY, "a check a day finds nothing in time"),
    )
    heartbeat_timeout: float = _seconds(45.0, "of silence until degraded [specification]", _SILENCE, _KEPT)
    degraded_threshold: float = _seconds(90.0, "of silence until unhealthy [specification]", _SILENCE, _KEPT)
    dead_threshold: float = _seconds(180.0, "of silence until dead [specification]", _SILENCE, _KEPT)
    recovery_heartbeats: int = _number(
        2, "Good heartbeats in a row that clear a bad score [one good value is chance]", _ONE, _MANY
    )
    startup_timeout: float = _seconds(
        120.0, "that a start may take [slow models load in two minutes]", _JITTER, _ONE_DAY
    )

    max_retries: int = _number(
        5,
        "Restart attempts before giving up; 0 never restarts [specification]",
        (0, "there are no fewer than none"),
        (1000, "it would in effect never give up"),
    )
    base_delay: float = _seconds(5.0, "before the first restart attempt [specification]", _NO_WAIT, _ONE_DAY)
    max_delay: float = _seconds(300.0, "before a restart attempt at most [specification]", _NO_WAIT, _ONE_DAY)
    exponential_base: float = _number(
        2.0,
        "Factor from one restart delay to the next [specification]",
        (1.0, "delays would shrink into a restart storm"),
        (100.0, "the second delay would be the longest already"),
    )
    restart_timeout: float = _seconds(60.0, "that one restart attempt may take", _JITTER, _ONE_DAY)
    restarts_concurrent: int = _number(5, "Restarts in flight at once, per shard", _ONE, _NO_LIMIT)
    restarts_per_minute: int = _number(20, "Restarts begun in any minute, per shard", _ONE, _NO_LIMIT)
    reset_after: float = _seconds(
        600.0,
        "of continuous health until restart attempts count from 0 again [kubelet; systemd #43813]",
        _SILENCE,
        (30 * _DAY, "attempts of old incidents would be missing in a new one"),
    )

    failure_threshold: int = _number(5, "Failures in a row that open a breaker [specification]", _ONE, _MANY)
    recovery_timeout: float = _seconds(
        60.0,
        "that a breaker stays open the first time [specification]",
        _JITTER,
        (600.0, "each reopening doubles it, to 600 s at most"),
    )
    success_threshold: int = _number(2, "Successes that close a half-open breaker [specification]", _ONE, _MANY)
    probe_timeout: float = _seconds(
        5.0, "that one probe may take", _JITTER, (300.0, "it would hold its place too long")
    )
    probes_concurrent: int = _number(
        50, "Probes in flight at once", _ONE, (10_000, "a process has no more sockets to spare"), decides=False
    )

    lease_ttl: float = _seconds(
        3.0,
        "that leadership lasts without renewal [measured: another leads in 2.4 to 2.7 s when a whole host is lost]",
        (0.5, "ordinary pauses would end leadership"),
        (60.0, "after the loss of a host nobody would watch for as long"),
        decides=False,
    )
    takeover_grace: float = _seconds(
        0.15,
        "that the leader's process must look dead before another takes over [measured: leads in 178 ms; with 0 a mere "
        "reconnection changes the leader]",
        _NO_WAIT,
        (20.0, "the longest lease allows no more"),
        decides=False,
    )
    coalesce: float = _seconds(
        0.03,
        "that a busy reader waits to read more at once, less before a deadline; by default at most a sixth of "
        "heartbeat_timeout [measured: 0.02 to 0.05]",
        _NO_WAIT,
        (1.0, "nothing is gained beyond 0.05"),
        decides=False,
    )
    checkpoint_interval: float = _seconds(
        5.0, "between writes of a component's busy fields", _WRITES, _REFOLD, decides=False
    )
    checkpoint_components: float = _seconds(
        1.0, "between writes of the index of last heartbeats", _WRITES, _REFOLD, decides=False
    )

    max_components: int = _number(
        1_000_000,
        "Components at most, per shard",
        (1, "there would be nothing to watch"),
        (10_000_000, "a replica needs about 1 KB for each"),
    )
    new_components_per_minute: int = _number(
        0,
        "First heartbeats of unknown ids that are accepted in any minute; 0 is no limit",
        (0, "0 is no limit already"),
        (10_000_000, "it would be no limit; 0 says so"),
    )
    events_retention: float = _seconds(
        7 * _DAY, "that events are kept", (1.0, "followers learn from them"), _TEN_YEARS, decides=False
    )
    restarts_retention: float = _seconds(
        _DAY, "that restart commands are kept", (1.0, "agents must find them"), _TEN_YEARS, decides=False
    )
    forget_after: float = _seconds(
        7 * _DAY, "until a dead component that registered itself is forgotten", _JITTER, _TEN_YEARS
    )
    forget_after_unknown: float = _seconds(
        3600.0, "until an unknown component that registered itself is forgotten", _JITTER, _TEN_YEARS
    )

    auto_register: bool = _switch("a first heartbeat of an unknown id registers it")
    enable_auto_restart: bool = _switch("restart dead components without being asked [specification]")
    enable_circuit_breakers: bool = _switch("failures in a row open a component's breaker [specification]")
    broadcast_events: bool = _switch("publish alerts on the channel [specification]")
    mass_failure: bool = _switch(
        "when much of the fleet falls silent at once, tell it once and hold deaths and restarts"
    )

    allow_exec: bool = Field(
        default=False,
        description="On or off: run the programs that stored policies name (exec restarts and probes) on this host; "
        "whoever may write commands to Redis may then run programs here",
    )
    webhook_secret: SecretStr | None = Field(
        default=None, repr=False, description="Key by which restart webhooks are signed (HMAC-SHA256); none: unsigned"
    )

    log_level: LogLevel = Field(
        default="info", description="Least level that is logged: debug, info, warning, error or critical"
    )
    log_format: LogFormat = Field(default="text", description="Form of log lines: text or json")

    @property
    def coalesce_effective(self) -> float:
        """Seconds that a busy reader waits: as given, else the default and at most a sixth of heartbeat_timeout."""
        return self.coalesce if "coalesce" in self.model_fields_set else min(self.coalesce, self.heartbeat_timeout / 6)

    def rules_digest(self, extra: str = "") -> str:
        """12 hex digits, equal where two replicas decide alike. `extra`: other rules in force, such as score rows.

        Where it differs between replicas, a failover changes the rules. What only one replica feels is no part of it:
        the address of Redis, names, lease, pace of reading and writing, logs.
        """
        kind = type(self)
        deciding = {name: getattr(self, name) for name in kind.model_fields if notes_of(kind, name).get("decides")}
        return hashlib.sha256(json.dumps([deciding, extra], sort_keys=True).encode()).hexdigest()[:12]

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        broken = [f"{each.rule}, because {each.reason}; {each.fix}" for each in _RELATIONS if not each.holds(self)]
        if broken:
            names = type(self).model_fields
            values = {
                name: f"{shown(getattr(self, name))}{notes_of(type(self), name).get('unit', '')}" for name in names
            }
            raise Contradiction(broken, values)
        return self


class _Relation(NamedTuple):
    holds: Callable[[Settings], bool]
    rule: str
    reason: str
    fix: str = "lower the first or raise the second"


_RELATIONS: Final = (
    _Relation(
        lambda s: s.heartbeat_timeout < s.degraded_threshold,
        "{heartbeat_timeout} must be below {degraded_threshold}",
        "silence makes degraded before it makes unhealthy",
    ),
    _Relation(
        lambda s: s.degraded_threshold < s.dead_threshold,
        "{degraded_threshold} must be below {dead_threshold}",
        "silence makes unhealthy before it makes dead",
    ),
    _Relation(
        lambda s: s.takeover_grace < s.lease_ttl / 3,
        "{takeover_grace} must be below a third of {lease_ttl}",
        "the leader renews at each third, and a takeover that waits longer gains little on the end of the lease",
    ),
    _Relation(
        lambda s: s.base_delay <= s.max_delay,
        "{base_delay} must not be above {max_delay}",
        "the first restart delay is the shortest",
    ),
    _Relation(
        lambda s: s.reset_after > s.startup_timeout + s.heartbeat_timeout,
        "{reset_after} must be above {startup_timeout} plus {heartbeat_timeout}",
        "attempts that count from 0 again before a failed start shows never reach giving up",
        "raise the first",
    ),
    _Relation(
        lambda s: s.restarts_retention > s.restart_timeout,
        "{restarts_retention} must be above {restart_timeout}",
        "a restart command must be kept until its deadline",
        "raise the first or lower the second",
    ),
    _Relation(
        lambda s: "coalesce" not in s.model_fields_set or s.coalesce < s.heartbeat_timeout / 3,
        "{coalesce} must be below a third of {heartbeat_timeout}",
        "heartbeats that wait to be read together must not look late",
        "lower the first or leave it out",
    ),
)
