"""What every command that talks to Redis begins with: the settings, the connection, the readers over it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from healthmon.cli.output import tell
from healthmon.core.guard import Brake
from healthmon.core.score import DEFAULT_ROWS
from healthmon.errors import NoLeader, NoSuchComponent
from healthmon.settings import Settings, load_settings, masked_url
from healthmon.store.calls import call, open_raw
from healthmon.store.cluster import ClusterReader, Watch
from healthmon.store.event_log import EventLog
from healthmon.store.keys import Keys
from healthmon.store.reading import Reader
from healthmon.store.runtime_folder import read_url, url_in
from healthmon.views.picture import Freshness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from healthmon.core.lease import Lease
    from healthmon.settings.fields import SharedSettings
    from healthmon.store.calls import Client
    from healthmon.store.reading import Record

T = TypeVar("T")
# Ids that a misspelt one is compared with: enough for a fleet that people type names of.
_COMPARED: Final = 5000


@dataclass(frozen=True)
class Where:
    """The Redis that a command is for, as its options say; None leaves it to the settings."""

    redis_url: str | None = None
    prefix: str | None = None


@dataclass(frozen=True)
class Session:
    """One command's connection and what reads over it."""

    settings: Settings
    url: str
    keys: Keys
    client: Client
    reader: Reader
    cluster: ClusterReader
    events: EventLog

    async def known(self, component_id: str) -> Record:
        """The record of a component. Raises NoSuchComponent with the nearest id that there is."""
        record = await self.reader.record(component_id)
        if record:
            return record
        ids = [one for one, _ in await self.reader.quietest(_COMPARED)]
        meant = get_close_matches(component_id, ids, 1, 0.6)
        hint = f"did you mean {meant[0]}?" if meant else "`healthmon ls` lists them"
        raise NoSuchComponent(f"no component {component_id}; {hint}")

    async def lease(self, otherwise: str) -> Lease:
        """The leader's lease. Raises NoLeader, saying what can't be done without one."""
        lease = (await self.cluster.watch()).lease
        if lease is None:
            raise NoLeader(f"nobody leads, {otherwise}: `healthmon cluster` shows the replicas")
        return lease

    async def brake(self) -> Brake:
        """The brake on mass failure as it is committed."""
        since = await call(self.client, "HGET", self.keys.guard, "mass_since_ms")
        return Brake(int(since) if since and since.isdigit() else 0)


def run(command: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run an asynchronous command to its end."""
    return anyio.run(command, *arguments)


def settings_of(where: Where, *, quiet: bool = False) -> Settings:
    """The settings, with the URL of the user's own `healthmon up` where none is set, which is said.

    `quiet`: warnings are not said; whoever calls says them in another form.
    """
    settings = load_settings(redis_url=where.redis_url, prefix=where.prefix)
    for warning in () if quiet else settings.warnings:
        tell(warning)
    left = left_url(settings)
    return load_settings(redis_url=left, prefix=where.prefix) if left else settings


def left_url(settings: SharedSettings) -> str | None:
    """The URL that the user's own `healthmon up` left, when none was set anywhere; says so on stderr."""
    left = read_url() if settings.origin("redis_url") == "default" else None
    if left:
        tell(f"HEALTH_REDIS_URL is not set: using {masked_url(left)} of your `healthmon up`")
    return left


def url_of(settings: SharedSettings) -> str:
    """The URL to connect to: that of the running server where the setting names its directory."""
    url = settings.redis_url
    return url_in(url) if url.startswith("embedded://") else url


def digest_of(settings: Settings) -> str:
    """The digest that a replica with these settings publishes."""
    return settings.rules_digest(repr(sorted(DEFAULT_ROWS.items())))


@asynccontextmanager
async def session(where: Where, *, quiet: bool = False) -> AsyncIterator[Session]:
    """A session for `async with`. Nothing is sent before the first command. `quiet` as in `settings_of`."""
    settings = settings_of(where, quiet=quiet)
    url = url_of(settings)
    client, keys = open_raw(url, name="cli"), Keys(settings.prefix)
    try:
        yield Session(
            settings, url, keys, client, Reader(client, keys), ClusterReader(client, keys), EventLog(client, keys)
        )
    finally:
        await client.aclose()


def freshness_of(watch: Watch) -> Freshness:
    """How fresh the data is that a command shows."""
    return Freshness(watch.now_ms, watch.as_of_ms, watch.lease is not None)


def tell_age(watch: Watch) -> None:
    """Say how old the data is, when there is something to say."""
    remark = freshness_of(watch).remark()
    if remark:
        tell(remark)


def watch_json(watch: Watch) -> dict[str, Any]:
    """Who leads and how old the data is, for a program."""
    lease = watch.lease
    return {
        "leader": lease.replica if lease else None,
        "epoch": lease.epoch if lease else None,
        "lease_left_ms": watch.left_ms if lease else None,
        "age_ms": freshness_of(watch).age_ms,
    }
