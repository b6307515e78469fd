"""Data on stdout in the form that was asked for, messages on stderr."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from healthmon.cli.options import Form
from healthmon.views.terminal import Terminal, terminal_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def terminal() -> Terminal:
    """What stdout can show. A letter that its encoding lacks becomes a question mark instead of an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return terminal_for(
        os.environ,
        is_tty=sys.stdout.isatty(),
        encoding=sys.stdout.encoding or "",
        columns=shutil.get_terminal_size().columns,
    )


def is_for_people(form: Form) -> bool:
    """Whether the form is a table, narrow or wide."""
    return form in (Form.TABLE, Form.WIDE)


def say(lines: Iterable[str]) -> None:
    """Lines of data."""
    for line in lines:
        print(line, flush=True)  # who follows events through a pipe wants each as it comes


def say_all(form: Form, values: list[dict[str, Any]], name: str = "id") -> None:
    """Several objects for a program: one array, one object a line, or one name a line."""
    if form is Form.JSON:
        print(json.dumps(values, indent=2, ensure_ascii=False))
        return
    for value in values:
        say_line(form, value, name)


def say_line(form: Form, value: Mapping[str, Any], name: str = "id") -> None:
    """One object on one line, or its name."""
    if form is Form.NAME:
        print(value[name] or "", flush=True)
    else:
        print(json.dumps(value, separators=(",", ":"), ensure_ascii=False), flush=True)


def say_one(form: Form, value: Mapping[str, Any], name: str = "id") -> None:
    """One object for a program: over several lines as json, on one as jsonl, or its name."""
    if form is Form.JSON:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        say_line(form, value, name)


def tell(message: str) -> None:
    """A message beside the data."""
    print(f"healthmon: {message}", file=sys.stderr)
