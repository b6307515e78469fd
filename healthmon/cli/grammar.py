"""What may be typed: every command with its options and what their values are, read from the commands themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from healthmon.core.event import EventType
from healthmon.views.states import WORST_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What the metavar of a value says of it; any other is the user's own word.
_IDS, _PATH, _LIST = ("ID",), ("FILE", "DIR"), {"STATE[,STATE]": WORST_FIRST, "TYPE[,TYPE]": tuple(EventType)}
HELP: Final = ("--help", "-h")


@dataclass(frozen=True, slots=True)
class Value:
    """What may stand for an option's value or an argument: `words`, several of them behind commas where `many`; ids of
    components; a path. None of these: anything.
    """

    words: tuple[str, ...] = ()
    many: bool = False
    ids: bool = False
    path: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """An option by all its names; `value` None: it takes none."""

    names: tuple[str, ...]
    help: str
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it does, its options, and what its arguments are, None when it takes none."""

    name: str
    help: str
    options: tuple[Option, ...]
    argument: Value | None = None
    program: bool = False  # what follows `--` is another program and its arguments


def commands(table: Mapping[str, Mapping[str, str]]) -> list[Command]:
    """Every command of the table, in its order."""
    return [_command(name, says) for group in table.values() for name, says in group.items()]


def _command(name: str, says: str) -> Command:
    module = name.replace("-", "_")
    function: Callable[..., Any] = getattr(import_module(f"healthmon.cli.{module}"), module)
    options: list[Option] = []
    argument: Value | None = None
    program = False
    for parameter, hint in get_type_hints(function, include_extras=True).items():
        kind, info = _parts(hint)
        if isinstance(info, OptionInfo) and not info.hidden:
            # Within Annotated, Typer takes the first name for the default.
            given = (info.default, *(info.param_decls or ()))
            names = tuple(one for one in given if isinstance(one, str) and one.startswith("-"))
            value = None if kind is bool else _value(kind, info.metavar)
            options.append(Option(names or (f"--{parameter.replace('_', '-')}",), info.help or "", value))
        elif isinstance(info, ArgumentInfo) and not info.hidden:
            argument = argument or _value(kind, info.metavar)  # of several the first, on which the others depend
            program = info.metavar == "CMD"
    return Command(name, says, (*options, Option(HELP, "Show what it does and its options.")), argument, program)


def _parts(hint: Any) -> tuple[Any, Any]:  # noqa: ANN401  # a type may be anything
    """The plain type of a parameter, without None and list, and what Typer is told of it."""
    kind, info = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
    while get_origin(kind) in (Union, UnionType, list):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    return kind, info


def _value(kind: Any, metavar: str | None) -> Value:  # noqa: ANN401  # a type may be anything
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Value(words=tuple(str(one.value) for one in kind))
    listed, *others = (metavar or "").split("|")
    if listed in _LIST:
        return Value(words=(*(str(one) for one in _LIST[listed]), *others), many=True)
    return Value(ids=metavar in _IDS, path=metavar in _PATH)
