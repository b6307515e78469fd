"""`healthmon up`: a Redis, replicas and, with --demo, components in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Also a dozen components, some of which fail.")] = False,
    replicas: Annotated[int, typer.Option(min=1, max=16, help="Replicas of the monitor.")] = 3,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the Redis; 0 takes a free one.", show_default=False)
    ] = 0,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the data there.", show_default=False)] = None,
) -> None:
    """Start a Redis of its own, replicas and, with --demo, components; one line a happening; Ctrl-C ends all."""
    from healthmon.up import run_up

    run_up(demo=demo, replicas=replicas, port=port, data=data)
