"""`healthmon acl`: the Redis users with the least rights."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from healthmon.cli.options import Form, Output, Prefix
from healthmon.cli.output import is_for_people, say, say_all
from healthmon.settings import load_settings
from healthmon.store.acl import Role, setuser


def acl(
    role: Annotated[
        list[Role] | None, typer.Option(help="Only this role; all unless given.", show_default=False)
    ] = None,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the user; PREFIX-ROLE unless given.", show_default=False)
    ] = "",
    output: Output = Form.TABLE,
    prefix: Prefix = None,
) -> None:
    """Print the ACL SETUSER line of each role: what it sends, on the keys that it needs, and nothing else.

    Put a password in the place of PASSWORD and run the line with redis-cli, or put it into the ACL file as `user …`.
    """
    named = load_settings(prefix=prefix).prefix
    roles = role or list(Role)
    lines = {each: setuser(each, named, user) for each in roles}
    if is_for_people(output):
        say(f"redis-cli {shlex.join(words)}" for words in lines.values())
        return
    say_all(
        output,
        [
            {"id": words[2], "role": each.value, "rules": words[3:], "command": shlex.join(words)}
            for each, words in lines.items()
        ],
    )
