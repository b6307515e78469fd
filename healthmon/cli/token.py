"""`healthmon token`: a new token, shown once, and the lines by which a server knows it."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Final

import typer

from healthmon.cli.options import Form, Output
from healthmon.cli.output import is_for_people, say, say_one, tell
from healthmon.core.access import Scope, hash_of, read_tokens

BYTES: Final = 32
PREFIX: Final = "hm_"


def token(
    *,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who uses it; stands in events as who asked.", show_default=False),
    ] = None,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it is for; may be repeated. write: heartbeats.", show_default="write"),
    ] = None,
    components: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only for ids like this, as j_*; may be repeated.", show_default="all"),
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Make a token. `healthmon token --name ci >> tokens.toml` adds its hash to the file of HEALTH_TOKENS_FILE.

    The token itself is shown this once, on stderr. Servers read the file when they start.
    """
    made = PREFIX + secrets.token_urlsafe(BYTES)
    table = {
        "name": name or f"token-{secrets.token_hex(2)}",
        "hash": hash_of(made),
        "scope": [one.value for one in dict.fromkeys(scope or [Scope.WRITE])],
        "components": list(dict.fromkeys(components or [])),
    }
    read_tokens({"token": [table]}, "what you ask for")
    toml = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items() if value]
    if is_for_people(output):
        tell(f"the token {table['name']}, shown this once: {made}")
        say(["[[token]]", *toml, ""])
    else:
        say_one(output, {"token": made, **table}, "token")
