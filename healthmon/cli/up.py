"""`healthmon up`: a Redis, replicas and, with --demo, components in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from healthmon.cli.options import Prefix


def up(
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Also a dozen components, some of which fail.")] = False,
    replicas: Annotated[int, typer.Option(min=1, metavar="N", help="Replicas of the monitor.")] = 3,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port of the Redis; a free one unless given.", show_default=False
        ),
    ] = 0,
    http_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port of the page.", show_default="the first free one from 8787"
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the data in this directory.", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the replicas' log lines too.")] = False,
    prefix: Prefix = None,
) -> None:
    """Start a Redis, replicas and, with --demo, components: one line a happening, and Ctrl-C ends all of it."""
    from healthmon.up import run_up

    code = run_up(
        demo=demo, replicas=replicas, port=port, http_port=http_port, data=data, verbose=verbose, prefix=prefix
    )
    raise typer.Exit(code)
