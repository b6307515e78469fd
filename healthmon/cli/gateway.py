"""`healthmon gateway`: HTTP for components and people, by a process that never leads."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from healthmon.cli.options import Prefix, RedisUrl
from healthmon.cli.output import tell


def gateway(
    *,
    host: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Address; any but loopback needs a token.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="PORT", help="Port to serve.", show_default="8787")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="A folder of heartbeat files; may be repeated.", show_default=False),
    ] = None,
    replica_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of this process, like no other's.", show_default=False)
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="A TOML file of settings.", show_default=False)
    ] = None,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Serve HTTP until Ctrl-C or SIGTERM: heartbeats in, states out. It follows the fleet and never leads it."""
    from healthmon.logs import set_up
    from healthmon.run import run_monitor
    from healthmon.run.place import open_place
    from healthmon.run.serving import serve_place
    from healthmon.settings import load_serving_settings, load_settings

    settings = load_settings(replica_id=replica_id, config=config, redis_url=redis_url, prefix=prefix)
    for warning in settings.warnings:
        tell(warning)
    serving = load_serving_settings(http_host=host, http_port=port, heartbeat_dirs=files or None, config=config)
    set_up(settings.log_level, settings.log_format)
    place = open_place(serving)
    run_monitor(settings, partial(serve_place, place), observes=True)
