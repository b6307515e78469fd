"""`healthmon monitor`: one replica of the monitor in this process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from healthmon.cli.options import Prefix, RedisUrl
from healthmon.cli.output import tell
from healthmon.errors import ConfigurationError

if TYPE_CHECKING:
    from healthmon.run.replica import Beside


def monitor(
    *,
    replica_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of this replica, like no other's.", show_default=False)
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Also serve HTTP there, as `healthmon gateway` does.", show_default=False
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.", show_default="info")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORM", help="text, or json for a program.", show_default="text")
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="A TOML file of settings.", show_default=False)
    ] = None,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Run one replica until Ctrl-C or SIGTERM. Start two or more: one leads, the others take over within a second."""
    from healthmon.logs import set_up
    from healthmon.run import run_monitor
    from healthmon.settings import load_settings

    settings = load_settings(
        replica_id=replica_id,
        log_level=log_level,
        log_format=log_format,
        config=config,
        redis_url=redis_url,
        prefix=prefix,
    )
    for warning in settings.warnings:
        tell(warning)
    set_up(settings.log_level, settings.log_format)
    run_monitor(settings, None if http is None else _serving(http, config))


def _serving(http: str, config: str | None) -> Beside:
    """What serves HTTP beside the replica. Raises ConfigurationError before anything runs."""
    from healthmon.run.place import open_place
    from healthmon.run.serving import serve_place
    from healthmon.settings import load_serving_settings

    host, colon, port = http.rpartition(":")
    if not colon or not port.isdecimal():
        raise ConfigurationError(f"--http is {http!r}: give HOST:PORT, such as 127.0.0.1:8787")
    serving = load_serving_settings(http_host=host.strip("[]") or "127.0.0.1", http_port=int(port), config=config)
    place = open_place(serving)
    return partial(serve_place, place)
