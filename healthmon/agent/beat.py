"""Heartbeats for what is no Python program: one from a shell script, or one every few seconds beside it."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from healthmon.agent.identity import ID_RULE
from healthmon.agent.metrics import GivenMetrics
from healthmon.agent.sender import STOP_S, sender_for
from healthmon.agent.session import Said, Session
from healthmon.agent.wire import Wire
from healthmon.core.component import Status
from healthmon.core.heartbeat import TEXT_MAX
from healthmon.errors import ConfigurationError
from healthmon.settings import ClientSettings, load_client_settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def send_beat(
    component_id: str | None = None,
    *,
    status: str = Status.OK,
    msg: str = "",
    metrics: Mapping[str, object] | None = None,
    role: str | None = None,
    version: str | None = None,
    interval_s: float | None = None,
    redis_url: str | None = None,
    prefix: str | None = None,
) -> str:
    """Send one heartbeat, and return the id of its stream entry; empty with HEALTH_DISABLED=1.

    It tells no pid, and no incarnation but HEALTH_INCARNATION: the process that sends it is not the component.
    `interval_s`: seconds until the next one, told only when given here, since nobody knows what calls this.

    Raises ConfigurationError (id, status, settings), StoreUnavailable (within 2 s), NotPermitted.
    """
    settings = _settings(component_id, status, interval_s, redis_url, prefix)
    if settings.disabled:
        return ""
    texts = {
        "role": role,
        "host": socket.gethostname(),
        "version": version,
        "incarnation": settings.incarnation,
        "status": status if status != Status.OK else "",
        "msg": msg[:TEXT_MAX],
    }
    said: dict[str, Any] = {"id": settings.component_id, **{name: text for name, text in texts.items() if text}}
    if interval_s is not None:
        said["interval"] = settings.interval
    said |= GivenMetrics().clean(metrics)
    wire = Wire(settings.redis_url, settings.prefix, name="beat")
    try:
        return wire.append([said])[0]
    finally:
        wire.close()


async def send_beats(
    every_s: float,
    component_id: str | None = None,
    *,
    status: str = Status.OK,
    msg: str = "",
    metrics: Mapping[str, object] | None = None,
    role: str | None = None,
    version: str | None = None,
    redis_url: str | None = None,
    prefix: str | None = None,
) -> None:
    """Send a heartbeat every `every_s` seconds until SIGTERM or Ctrl-C, then `stopping`, and return.

    Each says the same. While Redis is away it goes on trying, with a log line.

    Raises ConfigurationError (id, status, settings).
    """
    settings = _settings(component_id, status, every_s, redis_url, prefix)
    if settings.disabled:
        return
    sender = sender_for(settings.redis_url, settings.prefix)
    session = Session(
        str(settings.component_id), role=role, version=version, incarnation=settings.incarnation, metrics=False
    )
    session.remember(Said(GivenMetrics().clean(metrics), Status(status), msg, at_s=float("inf")))
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        sender.attach(session, settings.interval)
        try:
            async for _ in signals:
                break
        finally:
            sender.leave(session, Said(status=Status.STOPPING))
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(session.left.wait, STOP_S)


def _settings(
    component_id: str | None, status: str, interval_s: float | None, redis_url: str | None, prefix: str | None
) -> ClientSettings:
    if status not in tuple(Status):
        raise ConfigurationError(f"{status!r} is no status: give {', '.join(Status)}")
    settings = load_client_settings(component_id=component_id, interval=interval_s, redis_url=redis_url, prefix=prefix)
    if settings.component_id is None and not settings.disabled:
        raise ConfigurationError(f"a component needs an id, as an argument or in HEALTH_COMPONENT_ID: {ID_RULE}")
    return settings
