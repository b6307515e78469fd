"""The alerts file: which sinks there are, and who is told of what. Checked as a whole, each error with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as File
from typing import Any, Final

from healthmon.alerts.sink import KINDS, Kind, Sink
from healthmon.core.incidents import Rules
from healthmon.core.places import Path, Places
from healthmon.core.remarks import Remark, dotted, read_toml
from healthmon.core.routes import SEVERITIES, Route
from healthmon.errors import ConfigurationError

FILE_MAX: Final = 1024 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Seconds and counts: least, most, and what holds where nothing is said.
_NUMBERS: Final[Mapping[str, tuple[float, float, float]]] = {
    "window": (0.1, 3600.0, 10.0),
    "cap": (1, 10_000, 20),
    "remind_every": (0.0, 30 * 86_400.0, 0.0),
    "retry_for": (1.0, 86_400.0, 3600.0),
}
_ROUTE: Final = ("sinks", "severity", "roles", "ids")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an alerts file says. `cap` messages go to a sink in a window of `window_ms`; what comes beyond is gathered.

    `retry_for_s`: how long a message is tried again before it is a dead letter.
    """

    sinks: Mapping[str, Sink] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    rules: Rules = field(default_factory=Rules)
    window_ms: int = 10_000
    cap: int = 20
    retry_for_s: float = 3600.0


def load_plan(file: File, environment: Mapping[str, str]) -> Plan:
    """The plan of a file. Raises ConfigurationError with a line for each error, which begins with the file's name."""
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the alerts file {file} cannot be read: {error.strerror}; correct HEALTH_ALERTS_FILE or the file"
        ) from None
    if len(data) > FILE_MAX:
        raise ConfigurationError(f"the alerts file {file} is larger than 1 MiB, and no alerts file")
    plan, errors = read_plan(data, environment)
    if errors:
        raise ConfigurationError("\n".join(error.line(str(file)) for error in errors))
    return plan


def read_plan(data: bytes, environment: Mapping[str, str]) -> tuple[Plan, tuple[Remark, ...]]:
    """The plan that a file describes, and all that is wrong with it. `environment`: where secrets are."""
    found = read_toml(data)
    if isinstance(found, Remark):
        return Plan(), (found,)
    tables, places = found
    reader = _Reader(tables, places, environment)
    plan = reader.plan()
    return plan, tuple(sorted(reader.errors()))


@dataclass
class _Reader:
    tables: Mapping[str, Any]
    places: Places
    environment: Mapping[str, str]
    _errors: list[tuple[Path, str]] = field(default_factory=list)

    def errors(self) -> list[Remark]:
        return [Remark(self.places.of(path), says) for path, says in self._errors]

    def plan(self) -> Plan:
        known = ("sinks", "routes", "tell_restarting", *_NUMBERS)
        self._refuse_unknown((), self.tables, known, "an alerts file")
        said = {name: self._number((), self.tables, name, bounds) for name, bounds in _NUMBERS.items()}
        tell_restarting = self.tables.get("tell_restarting", False)
        if not isinstance(tell_restarting, bool):
            self._say(("tell_restarting",), "tell_restarting must be true or false")
        if not float(said["cap"]).is_integer():
            self._say(("cap",), "cap must be a whole number")
        kinds, sinks = self._sinks()
        window_ms = round(said["window"] * 1000)
        return Plan(
            sinks,
            kinds,
            tuple(self._routes(tuple(kinds))),
            Rules(window_ms, round(said["remind_every"] * 1000), tell_restarting is True),
            window_ms,
            int(said["cap"]),
            said["retry_for"],
        )

    # -- sinks -----------------------------------------------------------------------------------------------------

    def _sinks(self) -> tuple[dict[str, str], dict[str, Sink]]:
        tables = self.tables.get("sinks", {})
        kinds: dict[str, str] = {}
        sinks: dict[str, Sink] = {}
        if not isinstance(tables, dict):
            self._say(("sinks",), "sinks must be tables: [sinks.<name>]")
            return kinds, sinks
        if not tables:
            self._say((), 'the file has no sink: [sinks.<name>] with kind = "log" is the smallest')
        for name, table in tables.items():
            path: Path = ("sinks", name)
            kinds[name] = str(table.get("kind", "")) if isinstance(table, dict) else ""
            if not isinstance(table, dict):
                self._say(path, f"{dotted(path)} must be a table: [sinks.<name>]")
            elif not _NAME.fullmatch(name):
                self._say(path, f"{name!r} is no name of a sink: 1 to 64 letters, digits, - and _")
            elif "kind" not in table:
                self._say(path, f"{dotted(path)} has no kind; give {_or(KINDS)}")
            elif kinds[name] not in KINDS:
                self._say((*path, "kind"), f"there is no kind {kinds[name]!r}; give {_or(KINDS)}")
            else:
                sink = self._sink(path, table, KINDS[kinds[name]])
                if sink is not None:
                    sinks[name] = sink
        return kinds, sinks

    def _sink(self, path: Path, table: Mapping[str, Any], kind: Kind) -> Sink | None:
        before, numbers = len(self._errors), kind.numbers or {}
        named = [f"{text}_env" for text in (*kind.texts, *kind.secrets)]
        self._refuse_unknown(path, table, ("kind", *kind.texts, *named, *numbers), f"a sink of kind {table['kind']}")
        options: dict[str, Any] = {}
        for name in (*kind.texts, *kind.secrets):
            value = self._text(path, table, name)
            if value is not None:
                options[name] = value
            elif name in kind.required and name not in table and f"{name}_env" not in table:
                self._say(path, f"{dotted(path)} has no {name} (or {name}_env)")
        if "url" in options and (wrong := kind.check_url(options["url"])):
            self._say((*path, "url" if "url" in table else "url_env"), f"{dotted(path)}: url {wrong}")
        for name, bounds in numbers.items():
            options[name] = self._number(path, table, name, bounds)
        if lacks := kind.lacks():
            self._say((*path, "kind"), lacks)
        return kind.make(options) if len(self._errors) == before else None

    def _text(self, path: Path, table: Mapping[str, Any], name: str) -> str | None:
        """The text itself, or what the environment variable holds that is named instead; never told."""
        env = f"{name}_env"
        for one in (name, env):
            if one in table and (not isinstance(table[one], str) or not table[one]):
                self._say((*path, one), f"{dotted((*path, one))} must be text")
                return None
        if name in table and env in table:
            self._say((*path, env), f"{dotted(path)} has {name} and {env}; give one of them")
        if name in table:
            return str(table[name])
        if env not in table:
            return None
        value = self.environment.get(table[env], "")
        if not value:
            self._say(
                (*path, env), f"the environment variable {table[env]}, which {dotted((*path, env))} names, is unset"
            )
        return value or None

    # -- routes ----------------------------------------------------------------------------------------------------

    def _routes(self, sinks: tuple[str, ...]) -> Iterator[Route]:
        tables = self.tables.get("routes", [])
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            self._say(("routes",), "routes must be tables: [[routes]]")
            return
        for number, table in enumerate(tables):
            path: Path = ("routes", number)
            self._refuse_unknown(path, table, _ROUTE, "a route")
            wanted = self._texts(path, table, "sinks")
            if not wanted and not isinstance(table.get("sinks", []), str):
                self._say(path, "the route has no sinks")
            for one in wanted:
                if one not in sinks:
                    meant = get_close_matches(one, sinks, 1, 0.6)
                    hint = f"; did you mean {meant[0]}?" if meant else ""
                    self._say((*path, "sinks"), f"there is no sink {one!r}{hint}")
            severity = table.get("severity", "info")
            if severity not in SEVERITIES:
                self._say((*path, "severity"), f"there is no severity {severity!r}; give {_or(SEVERITIES)}")
                severity = "info"
            yield Route(wanted, severity, self._texts(path, table, "roles"), self._texts(path, table, "ids"))

    def _texts(self, path: Path, table: Mapping[str, Any], name: str) -> tuple[str, ...]:
        value = table.get(name, [])
        if isinstance(value, list) and all(isinstance(one, str) and one for one in value):
            return tuple(value)
        self._say((*path, name), f'{name} must be a list of texts: {name} = ["..."]')
        return ()

    # -- values ----------------------------------------------------------------------------------------------------

    def _number(self, path: Path, table: Mapping[str, Any], name: str, bounds: tuple[float, float, float]) -> float:
        least, most, default = bounds
        value = table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self._say((*path, name), f"{dotted((*path, name))} must be a number from {least:g} to {most:g}")
            return default
        return float(value)

    def _refuse_unknown(self, path: Path, table: Mapping[str, Any], known: tuple[str, ...], whose: str) -> None:
        for name in table:
            if name not in known:
                meant = get_close_matches(name, known, 1, 0.6)
                hint = f"did you mean {meant[0]}?" if meant else f"it has {', '.join(known)}"
                self._say((*path, name), f"{whose} has no {name!r}; {hint}")

    def _say(self, path: Path, says: str) -> None:
        self._errors.append((path, says))


def _or(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
