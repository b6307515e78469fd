"""What arrived in the stream of heartbeats, read as the monitor reads it."""

from __future__ import annotations

from typing import Any

from healthmon.core.heartbeat import Heartbeat
from healthmon.store.client import open_sync
from healthmon.store.codec import decode_heartbeats
from healthmon.store.keys import Keys


def ask(url: str, *command: str | int) -> Any:
    """One command, one reply."""
    connection = open_sync(url, name="tests", timeout_s=5.0)
    try:
        connection.send_command(*command)
        return connection.read_response()
    finally:
        connection.disconnect()


def beats(url: str, prefix: str = "healthmon") -> list[Heartbeat]:
    """All heartbeats, in order."""
    return [beat for _, fields in ask(url, "XRANGE", Keys(prefix).heartbeats, "-", "+") for beat in decoded(fields)]


def decoded(fields: list[bytes]) -> list[Heartbeat]:
    found = []
    for beat in decode_heartbeats(fields):
        assert isinstance(beat, Heartbeat), "the monitor would refuse it"
        assert not beat.dropped, "the monitor would note what it dropped"
        found.append(beat)
    return found


def connections(url: str) -> list[str]:
    """The names of the server's client connections that send heartbeats."""
    listed = ask(url, "CLIENT", "LIST").decode().splitlines()
    return [line for line in listed if "name=healthmon-heartbeats" in line or "name=healthmon-beat" in line]


def cut(url: str) -> None:
    """The server ends the connections that send heartbeats."""
    for line in connections(url):
        ask(url, "CLIENT", "KILL", "ID", line.split()[0].removeprefix("id="))
