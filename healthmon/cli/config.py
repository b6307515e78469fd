"""`healthmon config`: the settings in force and where each comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from healthmon.cli.options import Form, Output
from healthmon.cli.output import is_for_people, say, say_all, tell, terminal
from healthmon.settings import SettingRow, describe, load_serving_settings, load_settings, masked_url
from healthmon.store.runtime_folder import read_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = ("SETTING", "VALUE", "FROM", "WHAT IT IS")
_WIDE_HEAD: Final = (*_HEAD[:3], "DEFAULT", _HEAD[3])


def config(
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Print a TOML file of all defaults, for HEALTH_CONFIG.")
    ] = False,
    output: Output = Form.TABLE,
) -> None:
    """Show every setting: its value, where it comes from, what it is. Passwords are not shown."""
    settings = load_settings()
    for warning in settings.warnings:
        tell(warning)
    left = read_url() if settings.origin("redis_url") == "default" else None
    if left and not defaults:
        tell(f"while HEALTH_REDIS_URL is not set, commands use {masked_url(left)} of your `healthmon up`")
    rows = describe(settings) + describe(load_serving_settings())
    if defaults:
        say(_toml(rows))
    elif is_for_people(output):
        wide = output is Form.WIDE
        told = [_cells(row, wide=wide) for row in rows]
        say(terminal().table(_WIDE_HEAD if wide else _HEAD, told))
    else:
        say_all(
            output,
            [
                {
                    "id": row.name,
                    "value": row.value,
                    "origin": row.origin,
                    "default": row.default,
                    "description": row.description,
                }
                for row in rows
            ],
        )


def _cells(row: SettingRow, *, wide: bool) -> list[str]:
    return [row.name, row.value, row.origin, *([row.default] if wide else []), row.description]


def _toml(rows: list[SettingRow]) -> Iterator[str]:
    yield "# Every setting of healthmon with its default. Name this file in HEALTH_CONFIG; variables and arguments win."
    for row in rows:
        name = row.name.removeprefix("HEALTH_").lower()
        if name == "config":
            continue  # a file that names a second one is refused
        yield ""
        yield f"# {row.description}"
        plain = row.default.replace(".", "", 1).lstrip("-").isdecimal() or row.default in ("true", "false")
        value = row.default if plain else f'"{row.default}"'
        # What each process makes up for itself is no value that a file could hold.
        yield f"# {name} = {value}" if not row.default or row.default.startswith("<") else f"{name} = {value}"
