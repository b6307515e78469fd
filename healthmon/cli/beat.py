"""`healthmon beat`: a heartbeat from a shell, once or every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import tenacity
import typer

from healthmon.agent.beat import send_beat, send_beats
from healthmon.cli.options import Prefix, RedisUrl
from healthmon.cli.output import tell
from healthmon.cli.session import left_url, run, url_of
from healthmon.core.component import Status
from healthmon.errors import ConfigurationError, HealthmonError, StoreUnavailable
from healthmon.settings import load_client_settings, masked_url
from healthmon.store.calls import call, open_raw

if TYPE_CHECKING:
    from healthmon.settings import ClientSettings

_AGAIN_S_MAX: Final = 2.0

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
    """Send a heartbeat of a component; the first one registers it. Prints the id of its stream entry.

    With --every one line says when Redis is reached; while it is away, the newest heartbeat is tried again.
    """
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
        run(_send_beats, every, component_id, said)
    elif entry := send_beat(component_id, interval_s=interval, **said):
        print(entry)


async def _send_beats(every_s: float, component_id: str | None, said: dict[str, Any]) -> None:
    """Heartbeats until Ctrl-C, and beside them the look whether anybody takes them."""
    try:
        async with anyio.create_task_group() as group:
            settings = load_client_settings(
                component_id=component_id, redis_url=said["redis_url"], prefix=said["prefix"]
            )
            if settings.component_id is not None and not settings.disabled:
                group.start_soon(_say_reached, settings, every_s)
            await send_beats(every_s, component_id, **said)
            group.cancel_scope.cancel()
    except* HealthmonError as failed:
        raise failed.exceptions[0] from None


async def _say_reached(settings: ClientSettings, every_s: float) -> None:
    """Nothing else would tell a person that all is well: what is sent in the background complains only."""
    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(StoreUnavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=_AGAIN_S_MAX),
        sleep=anyio.sleep,
    )
    url = url_of(settings)
    async with open_raw(url, name="beat-check") as client:
        await attempts(call, client, "PING")
    tell(f"{masked_url(url)} takes a heartbeat of {settings.component_id} every {every_s:g} s; Ctrl-C says goodbye")


def _metric(given: str) -> tuple[str, float]:
    name, equals, text = given.partition("=")
    try:
        value = float(text)
    except ValueError:
        equals = ""
    if not equals or not name:
        raise ConfigurationError(f"-m takes NAME=NUMBER, such as latency_ms=12, not {given!r}") from None
    return name, value
