"""`healthmon beat`: a heartbeat from a shell, once or every few seconds."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from healthmon.agent.beat import send_beat, send_beats
from healthmon.cli.options import Prefix, RedisUrl
from healthmon.cli.session import left_url, run
from healthmon.core.component import Status
from healthmon.errors import ConfigurationError
from healthmon.settings import load_client_settings

OwnId = Annotated[
    str | None, typer.Argument(metavar="ID", help="Its id; HEALTH_COMPONENT_ID unless given.", show_default=False)
]
Every = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Go on until Ctrl-C, then say goodbye.", show_default=False)
]
Interval = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Say when the next one comes.", show_default=False)
]
Said = Annotated[Status, typer.Option(help="What the component says of itself.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "-m",
        "--metric",
        metavar="NAME=VALUE",
        help="A metric, such as latency_ms=12; any number of them.",
        show_default=False,
    ),
]


def beat(
    component_id: OwnId = None,
    *,
    every: Every = None,
    interval: Interval = None,
    status: Said = Status.OK,
    msg: Annotated[str, typer.Option(metavar="TEXT", help="A few words to it.", show_default=False)] = "",
    metric: Metrics = None,
    role: Annotated[str | None, typer.Option(metavar="TEXT", help="What kind it is.", show_default=False)] = None,
    version: Annotated[str | None, typer.Option(metavar="TEXT", help="Its version.", show_default=False)] = None,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Send a heartbeat of a component; the first one registers it. Prints the id of its stream entry."""
    if every is not None and interval is not None:
        raise ConfigurationError("--every says when the next one comes already: leave out --interval")
    said: dict[str, Any] = {
        "status": status,
        "msg": msg,
        "metrics": dict(_metric(given) for given in metric or []),
        "role": role,
        "version": version,
        "redis_url": redis_url or left_url(load_client_settings(component_id=component_id, prefix=prefix)),
        "prefix": prefix,
    }
    if every is not None:
        run(partial(send_beats, every, component_id, **said))
    elif entry := send_beat(component_id, interval_s=interval, **said):
        print(entry)


def _metric(given: str) -> tuple[str, float]:
    name, equals, text = given.partition("=")
    try:
        value = float(text)
    except ValueError:
        equals = ""
    if not equals or not name:
        raise ConfigurationError(f"-m takes NAME=NUMBER, such as latency_ms=12, not {given!r}") from None
    return name, value
