"""`healthmon beat`: a heartbeat from a shell, once or every few seconds."""

from __future__ import annotations

from typing import Annotated

import typer

from healthmon.cli.options import Prefix, RedisUrl
from healthmon.core.component import Status
from healthmon.errors import ConfigurationError


def beat(
    component_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Id of the component; HEALTH_COMPONENT_ID unless given.", show_default=False),
    ] = None,
    *,
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Go on until Ctrl-C, then say goodbye.", show_default=False),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Say when the next one comes, for a single one.", show_default=False),
    ] = None,
    status: Annotated[Status, typer.Option(help="What the component says of itself.")] = Status.OK,
    msg: Annotated[str, typer.Option(metavar="TEXT", help="A few words to it.", show_default=False)] = "",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--metric",
            metavar="NAME=VALUE",
            help="A metric, such as latency_ms=12; any number of them.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[str | None, typer.Option(metavar="TEXT", help="What kind it is.", show_default=False)] = None,
    version: Annotated[str | None, typer.Option(metavar="TEXT", help="Its version.", show_default=False)] = None,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Send a heartbeat of a component; the first one registers it. Prints the id of its stream entry."""
    from healthmon.agent.beat import send_beat, send_beats
    from healthmon.cli.session import left_url, run
    from healthmon.settings import load_client_settings

    metrics = dict(_metric(given) for given in metric or [])
    url = redis_url or left_url(load_client_settings(component_id=component_id, prefix=prefix))
    if every is None:
        entry = send_beat(
            component_id,
            status=status,
            msg=msg,
            metrics=metrics,
            role=role,
            version=version,
            interval_s=interval,
            redis_url=url,
            prefix=prefix,
        )
        if entry:
            print(entry)
        return

    async def beats() -> None:
        await send_beats(
            every,
            component_id,
            status=status,
            msg=msg,
            metrics=metrics,
            role=role,
            version=version,
            redis_url=url,
            prefix=prefix,
        )

    run(beats)


def _metric(given: str) -> tuple[str, float]:
    name, equals, text = given.partition("=")
    try:
        value = float(text)
    except ValueError:
        equals = ""
    if not equals or not name:
        raise ConfigurationError(f"-m takes NAME=NUMBER, such as latency_ms=12, not {given!r}") from None
    return name, value
