"""The values that a policy may have: each is checked, and refused in a sentence that says what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from healthmon.core.ids import valid_id
from healthmon.core.score import Row
from healthmon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

METHODS: Final = ("agent", "exec", "webhook", "handler", "none")
PROBE_SCHEMES: Final = ("http", "https", "tcp", "redis", "rediss", "unix")
WORDS_MAX: Final = 64
TEXT_MAX: Final = 1024
DEPENDENCIES_MAX: Final = 64
_NUMBER_MAX: Final = 1e15  # far beyond it the double of a limit is no finite number any more


def number(name: str, value: object) -> float:
    """A finite number; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _NUMBER_MAX:
        raise Refused(f"policy {name} is {value!r}; it must be a number")
    return value


def duration(name: str, value: object) -> float:
    """Seconds, from a millisecond to ten years."""
    seconds = number(name, value)
    if not 0.001 <= seconds <= 10 * 365 * 86_400:
        raise Refused(f"policy {name} is {seconds:g} s; it must be between 1 ms and 10 years")
    return float(seconds)


def count(name: str, value: object, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Refused(f"policy {name} is {value!r}; it must be a whole number of at least {least}")
    return value


def text_of(name: str, value: object) -> str:
    """One line that can be shown, of at most 128 characters."""
    if not isinstance(value, str) or len(value) > 128 or not value.isprintable():
        raise Refused(f"policy {name} must be text of at most 128 characters that can be shown")
    return value


def rows_of(given: object) -> dict[str, Row]:
    """Metric -> its row of the score."""
    if not isinstance(given, dict):
        raise Refused("policy score must map metric names to [good, warn, critical]")
    rows = {}
    for name, row in given.items():
        if not isinstance(row, list | tuple) or len(row) != 3:
            raise Refused(f"policy score row {name!r} must be [good, warn, critical]")
        good, warn, critical = (float(number(f"score row {name}", value)) for value in row)
        if not (good < warn < critical or good > warn > critical >= 0):
            raise Refused(f"policy score row {name!r} must rise or fall all the way: good, warn, critical")
        rows[str(name)] = Row(good, warn, critical)
    return rows


def ids_of(name: str, given: object) -> tuple[str, ...]:
    """Component ids, each once, in their order."""
    if not isinstance(given, list | tuple) or len(given) > DEPENDENCIES_MAX:
        raise Refused(f"policy {name} must be a list of at most {DEPENDENCIES_MAX} component ids")
    for one in given:
        if not isinstance(one, str) or not valid_id(one):
            raise Refused(f"policy {name} has {one!r}, which is no component id")
    return tuple(dict.fromkeys(given))


def restart_of(given: object) -> dict[str, Any]:
    """How a component is restarted: its pace, and the method with what that needs."""
    part = _part("restart", given, _RESTART)
    method = part.get("method")
    if "command" in part and method != "exec":
        raise Refused('policy restart command needs method = "exec"')
    if "url" in part and method != "webhook":
        raise Refused('policy restart url needs method = "webhook"')
    if method == "exec" and "command" not in part:
        raise Refused('policy restart method "exec" needs command, a list of strings')
    if method == "webhook" and "url" not in part:
        raise Refused('policy restart method "webhook" needs url, an http:// or https:// address')
    base, most = part.get("base_delay"), part.get("max_delay")
    if base is not None and most is not None and base > most:
        raise Refused(f"restart policy base_delay {base:g} s is above max_delay {most:g} s")
    return part


def breaker_of(given: object) -> dict[str, Any]:
    """When a circuit breaker opens, for how long, and when it closes."""
    return _part("breaker", given, _BREAKER)


def probe_of(given: object) -> dict[str, Any]:
    """What is probed, how often, and how long that may take."""
    part = _part("probe", given, _PROBE)
    targets = [name for name in ("url", "exec", "callable") if part.get(name)]
    if part and len(targets) != 1:
        raise Refused("policy probe needs exactly one of url, exec and callable")
    return part


def _part(part: str, given: object, kinds: Mapping[str, Callable[[str, object], Any]]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Refused(f"policy {part} must be an object of {', '.join(kinds)}")
    for name in given:
        if name not in kinds:
            raise Refused(f"policy {part} has no {name!r}; it has {', '.join(kinds)}")
    return {name: kinds[name](f"{part} {name}", value) for name, value in given.items()}


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"policy {name} must be true or false")
    return value


def _factor(name: str, value: object) -> float:
    factor = number(name, value)
    if not 1 <= factor <= 100:
        raise Refused(f"policy {name} is {factor:g}; it must be from 1 (below, the delays would shrink) to 100")
    return float(factor)


def _words(name: str, value: object) -> list[str]:
    """An argument list: run as it is, never by a shell."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= WORDS_MAX:
        raise Refused(f"policy {name} must be a list of 1 to {WORDS_MAX} strings: the program and its arguments")
    for one in value:
        if not isinstance(one, str) or len(one) > TEXT_MAX or "\0" in one:
            raise Refused(f"policy {name} must hold strings of at most {TEXT_MAX} characters")
    if not value[0]:
        raise Refused(f"policy {name} begins with an empty string; the first is the program")
    return list(value)


def _method(name: str, value: object) -> str:
    if value not in METHODS:
        raise Refused(f"policy {name} is {value!r}; it is one of {', '.join(METHODS)}")
    return str(value)


def _web_address(name: str, value: object) -> str:
    return _address(name, value, ("http", "https"))


def _probe_address(name: str, value: object) -> str:
    return _address(name, value, PROBE_SCHEMES)


def _address(name: str, value: object, schemes: tuple[str, ...]) -> str:
    text = value if isinstance(value, str) and len(value) <= TEXT_MAX else ""
    try:
        parts = urlsplit(text)
        known = parts.scheme in schemes and bool(parts.hostname or parts.scheme == "unix")
        known = known and (parts.scheme != "tcp" or parts.port is not None)
    except ValueError:
        known = False
    if not known:
        shown = ", ".join(f"{scheme}://" for scheme in schemes)
        port = "; tcp:// names host and port" if "tcp" in schemes else ""
        raise Refused(f"policy {name} is no address of a known kind ({shown}{port})")
    return text


def _at_least_one(name: str, value: object) -> int:
    return count(name, value, least=1)


_RESTART: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "max_retries": count,
    "base_delay": duration,
    "max_delay": duration,
    "exponential_base": _factor,
    "jitter": _switch,
    "method": _method,
    "command": _words,
    "url": _web_address,
    "timeout": duration,
    "reset_after": duration,
    "auto": _switch,
}
_BREAKER: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "failure_threshold": _at_least_one,
    "recovery_timeout": duration,
    "success_threshold": _at_least_one,
}
_PROBE: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "url": _probe_address,
    "exec": _words,
    "callable": _switch,
    "interval": duration,
    "timeout": duration,
}
