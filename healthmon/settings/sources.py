"""Where settings come from: arguments win over the environment, which wins over the TOML file that HEALTH_CONFIG names.

A setting `x` is `HEALTH_X` in the environment, `x` or `HEALTH_X` in the file, `x` as an argument. An empty variable and
an argument None count as not given.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from healthmon.errors import ConfigurationError
from healthmon.settings.fields import (
    ENVIRONMENT_PREFIX,
    ClientSettings,
    Contradiction,
    Origin,
    Settings,
    SharedSettings,
    notes_of,
)
from healthmon.settings.forms import masked_url, shown
from healthmon.settings.serving import ServingSettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KNOWN: Final = frozenset({*Settings.model_fields, *ClientSettings.model_fields, *ServingSettings.model_fields})
_EDITS_MAX: Final = 2
_S = TypeVar("_S", bound=SharedSettings)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of `healthmon config`: text throughout, secrets masked."""

    name: str
    value: str
    default: str
    origin: Origin
    description: str


@dataclass(slots=True)
class _Found:
    """What the sources hold: values for pydantic, which reads the environment by itself, and how names were written."""

    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, name: str, written: str, origin: Origin) -> None:
        self.written[name] = written
        self.origins[name] = origin

    def meet_unknown(self, name: str, written: str) -> None:
        """Two edits from a known name is a slip, refused; anything else may be another program's: told."""
        meant = _nearest(name, _KNOWN)
        if meant:
            self.problems.append(f"{written} is no setting; did you mean {ENVIRONMENT_PREFIX}{meant.upper()}?")
        else:
            self.warnings.append(f"{written} is no setting of healthmon and is ignored")


def load_settings(**given: object) -> Settings:
    """The monitor's settings. Raises ConfigurationError with one line a problem, each naming the setting as written."""
    return _load(Settings, given)


def load_client_settings(**given: object) -> ClientSettings:
    """A component's settings, from the same sources by the same rules. Raises ConfigurationError."""
    return _load(ClientSettings, given)


def load_serving_settings(**given: object) -> ServingSettings:
    """What is served over HTTP, from the same sources by the same rules. Raises ConfigurationError."""
    return _load(ServingSettings, given)


def describe(settings: Settings | ServingSettings) -> list[SettingRow]:
    """Every setting with its value, default, origin and description, in the order in which they are declared.

    What all kinds of settings share is described with the monitor's.
    """
    rows, kind = [], type(settings)
    for name, about in kind.model_fields.items():
        if kind is ServingSettings and name in SharedSettings.model_fields:
            continue
        default = notes_of(kind, name).get("default") or _plain(about.default)
        value = getattr(settings, name)
        value = masked_url(value) if name == "redis_url" else _plain(value)
        rows.append(
            SettingRow(
                f"{ENVIRONMENT_PREFIX}{name.upper()}",
                value,
                default,
                settings.origin(name),
                about.description or "",
            )
        )
    return rows


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else shown(value)


def _load(kind: type[_S], given: dict[str, object]) -> _S:
    arguments = {name: value for name, value in given.items() if value is not None}
    environment = {
        name.upper().removeprefix(ENVIRONMENT_PREFIX).lower(): name
        for name, value in os.environ.items()
        if name.upper().startswith(ENVIRONMENT_PREFIX) and value
    }
    found = _Found()
    config = arguments.get("config") or os.environ.get(environment.get("config", ""))
    if config:
        _take_file(kind, Path(str(config)).expanduser(), found)
    _take_environment(kind, environment, found)
    _take_arguments(kind, arguments, found)
    try:
        settings = kind(**found.values)
    except ValidationError as error:
        problems = found.problems + [
            line for detail in error.errors() for line in _sentences(kind, detail, found.written)
        ]
        raise ConfigurationError("\n".join(problems)) from None
    if found.problems:
        raise ConfigurationError("\n".join(found.problems))
    settings.note_sources(found.origins, found.warnings)
    return settings


def _take_file(kind: type[SharedSettings], path: Path, found: _Found) -> None:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found.problems.append(
            f"the settings file {path} cannot be read: {error.strerror}; correct HEALTH_CONFIG or the file"
        )
        return
    except ValueError as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        found.problems.append(f"the settings file {path} is no TOML: {reason}; correct the file")
        return
    for key, value in content.items():
        name, written = key.lower().removeprefix(ENVIRONMENT_PREFIX.lower()), f"{key} in {path}"
        if name == "config":
            found.problems.append(f"{written} would name a second file, and only one is read; remove it")
        elif name in found.values:
            found.problems.append(f"{written} is there twice, with and without {ENVIRONMENT_PREFIX}; remove one")
        elif name in kind.model_fields:
            found.values[name] = value
            found.take(name, written, "file")
        elif name not in _KNOWN:
            found.meet_unknown(name, written)


def _take_environment(kind: type[SharedSettings], environment: dict[str, str], found: _Found) -> None:
    for name, written in environment.items():
        if name in kind.model_fields:
            # The file's value: pydantic reads the environment by itself, but lets what it is given win over it.
            found.values.pop(name, None)
            found.take(name, written, "environment")
        elif name not in _KNOWN:
            found.meet_unknown(name, written)


def _take_arguments(kind: type[SharedSettings], arguments: dict[str, object], found: _Found) -> None:
    for name, value in arguments.items():
        if name in kind.model_fields:
            found.values[name] = value
            found.take(name, name, "argument")
            continue
        meant = _nearest(name, frozenset(kind.model_fields))
        hint = f"did you mean {meant}?" if meant else "`healthmon config` lists them"
        found.problems.append(f"{name} is no setting; {hint}")


def _sentences(kind: type[SharedSettings], detail: ErrorDetails, written: dict[str, str]) -> list[str]:
    """What pydantic found, in the words of the person who must correct it."""
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Contradiction):
        return cause.told(written)
    name = str(detail["loc"][0])
    complaint = str(cause) if cause else _complaint(kind, name, detail)
    return [f"{written.get(name, ENVIRONMENT_PREFIX + name.upper())} {complaint}"]


def _complaint(kind: type[SharedSettings], name: str, detail: ErrorDetails) -> str:
    """What follows the setting's name: its value, what is wrong with it, what to give."""
    about, notes, value = kind.model_fields[name], notes_of(kind, name), detail["input"]
    if detail["type"] in ("greater_than_equal", "less_than_equal"):
        too_low = detail["type"] == "greater_than_equal"
        bound, reason = notes["least" if too_low else "most"]
        least, most, unit = shown(notes["least"][0]), shown(notes["most"][0]), notes["unit"]
        fix = f"give {least} to {most}" if least != most else f"leave it at {least}"
        side = "below" if too_low else "above"
        return f"is {str(value).strip()}{unit}, {side} {shown(bound)}{unit}: {reason}; {fix}"
    if detail["type"] == "literal_error":
        return f"is {shown(value)}; give {detail['ctx']['expected']}"
    example = shown(about.default)
    fixes: dict[object, str] = {
        bool: "; give true or false",
        int: f", which is no whole number; give one, such as {example}",
        float: f", which is no number; give {'seconds' if notes.get('unit') else 'one'}, such as {example}",
    }
    return f"is {shown(value)}{fixes.get(about.annotation, ', which is no text; give text')}"


def _nearest(name: str, known: frozenset[str]) -> str | None:
    """The known name that the fewest edits lead to, when two are enough; of equals the first of the alphabet."""
    edits, nearest = min((_edits(name, each), each) for each in known)
    return nearest if edits <= _EDITS_MAX else None


def _edits(left: str, right: str) -> int:
    """How many letters to add, drop, change, or swap with their neighbour [Damerau-Levenshtein, each letter once]."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, start=1):
        above, before, row = before, row, [i]
        for j, other in enumerate(right, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and (letter, left[i - 2]) == (right[j - 2], other):
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
