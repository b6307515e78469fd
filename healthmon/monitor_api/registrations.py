"""What a monitor object says of the components that it registers: the parts of their policies, and its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from healthmon.core.claims import ANYBODY
from healthmon.core.policy_values import breaker_of
from healthmon.core.restart import RestartPolicy
from healthmon.errors import Refused
from healthmon.probes.callable import Function
from healthmon.restarts.handler import Handler
from healthmon.settings import Settings

THRESHOLDS: Final = ("heartbeat_timeout", "degraded_threshold", "dead_threshold")
BREAKER: Final = ("failure_threshold", "recovery_timeout", "success_threshold")

Probe = str | Sequence[str] | Mapping[str, Any] | Function


@dataclass(frozen=True, slots=True)
class RestartMethod:
    """How a component is restarted: the method's name, and what it needs; empty where nothing is said."""

    method: str | None = None
    command: Sequence[str] | None = None
    url: str | None = None
    timeout: float | None = None

    def to_policy(self) -> dict[str, Any]:
        """What is said; a command alone means exec, a url alone webhook."""
        implied = "exec" if self.command is not None else "webhook" if self.url is not None else None
        said = {"method": self.method or implied, "command": self.command, "url": self.url, "timeout": self.timeout}
        return {name: value for name, value in said.items() if value is not None}


@dataclass
class Registrations:
    """The policies as they are sent. `restarts`: of each component that was registered here, what was said of restarts.

    `handlers` and `callables` are what this process itself offers, by component id, `*` for all; the replica's runner
    and its prober look them up here.
    """

    settings: Settings
    thresholds: Mapping[str, float]
    breaker: dict[str, Any]
    handlers: dict[str, Handler] = field(default_factory=dict)
    callables: dict[str, Function] = field(default_factory=dict)
    restarts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def breaker_config(self) -> Mapping[str, float | int]:
        """What holds for components registered here: what was given, else the settings. Read only."""
        return MappingProxyType({name: self.breaker.get(name, getattr(self.settings, name)) for name in BREAKER})

    def configure_breaker(self, config: Mapping[str, float | int]) -> None:
        """Replace what was given. Raises Refused: which name or value, and what is right."""
        if not isinstance(config, Mapping):
            raise Refused(
                f"circuit_breaker_config is {type(config).__name__}; it must be a dict of {', '.join(BREAKER)}"
            )
        given = breaker_of(dict(config))
        # Where nothing is given any more, what was sent before is taken back by saying what the settings say.
        self.breaker = given or ({name: getattr(self.settings, name) for name in BREAKER} if self.restarts else {})

    def handle(self, whom: str, handler: Handler | None) -> None:
        """Offer a handler for a component, or for all (`*`); None takes it back."""
        if handler is None:
            self.handlers.pop(whom, None)
        else:
            self.handlers[whom] = handler

    def policy(self, component_id: str, said: Mapping[str, Any], restart: Mapping[str, Any]) -> dict[str, Any]:
        """The policy of a component that is registered now: its own parts over those of this object."""
        parts = {**self.thresholds, **{name: value for name, value in said.items() if value is not None}}
        breaker = {**self.breaker, **parts.get("breaker", {})}
        restart = self._handled(component_id, restart)
        return {**parts, **({"breaker": breaker} if breaker else {}), **({"restart": restart} if restart else {})}

    def changed(self, component_id: str) -> dict[str, Any]:
        """The parts that this object may have changed since the component was registered."""
        if component_id not in self.restarts:
            return {}
        restart = self._handled(component_id, self.restarts[component_id])
        return {
            **({"breaker": self.breaker} if self.breaker else {}),
            **({"restart": restart} if restart else {}),
        }

    def _handled(self, component_id: str, restart: Mapping[str, Any]) -> dict[str, Any]:
        """A component without a method of its own is restarted by the handler that there is for it."""
        handled = component_id in self.handlers or ANYBODY in self.handlers
        return {**({"method": "handler"} if handled else {}), **restart}


def restart_part(
    restart_policy: RestartPolicy | None, method: RestartMethod, given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The `restart` part: its pace, its method, and what else was given by name."""
    return {**(restart_policy.to_policy() if restart_policy is not None else {}), **(given or {}), **method.to_policy()}


def probe_part(probe: Probe, interval: float | None, timeout: float | None) -> dict[str, Any]:
    """The `probe` part: a URL, an argument list, a function of this process, or the part itself. Raises Refused."""
    part: dict[str, Any]
    match probe:
        case str():
            part = {"url": probe}
        case Mapping():
            part = dict(probe)
        case Sequence():
            part = {"exec": list(probe)}
        case _ if callable(probe):
            part = {"callable": True}
        case _:
            raise Refused(f"probe is {type(probe).__name__}; give a URL, an argument list or a function")
    paced = {"interval": interval, "timeout": timeout}
    return {**part, **{name: value for name, value in paced.items() if value is not None}}
