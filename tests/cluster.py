"""Replicas as real processes over one server, components under load, and a record of all that is said meanwhile.

`cluster(...)` starts them, and at its end stops the load, waits until everything sent is stored, and asserts every
promise of `tests.history`. Whatever happens, no process outlives it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import hiredis
from anyio.abc import TaskGroup
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from healthmon.store.keys import Keys
from tests.history import Entry, Fields, History, assert_kept, entry_ms, read_history
from tests.load import Load
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent
# Short thresholds, so that a story takes seconds; the relations are those of the defaults.
QUICK: Mapping[str, float | bool] = {
    "lease_ttl": 1.0,
    "heartbeat_timeout": 1.0,
    "degraded_threshold": 2.0,
    "dead_threshold": 3.0,
    "checkpoint_interval": 1.0,
    "mass_failure": False,
}
STARTED_WITHIN_S = 15.0


@dataclass
class Cluster:
    """The replicas of one story by name, and everything that is known of them."""

    url: str
    keys: Keys
    folder: Path
    client: Any  # redis-py's types leave open whether replies are text
    load: Load
    environment: dict[str, str]
    settings: dict[str, float]
    stages_ms: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    commands: dict[str, Fields] = field(default_factory=dict)
    executed: list[dict[str, Any]] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    # -- replicas --------------------------------------------------------------------------------------------------

    async def start(self, *names: str) -> None:
        """Start these replicas; returns when each holds a table and is seen alive."""
        for name in names:
            self._spawn(name)
        for name in names:
            await eventually(partial(self._is_hot, name), STARTED_WITHIN_S)

    async def leader(self, *, other_than: str = "") -> str:
        """The name of the replica that holds the lease, as soon as it is another than the given one."""

        async def held() -> str:
            holder: str = (await self.client.get(self.keys.leader) or "").partition("|")[0]
            return "" if holder == other_than else holder

        return str(await eventually(held))

    async def epoch(self) -> int:
        """The epoch of the lease that is held now."""
        return int((await self.client.get(self.keys.leader)).rpartition("|")[2])

    async def kill(self, name: str) -> int:
        """kill -9. The server's time in ms just before."""
        now_ms = await self.now_ms()
        self.processes[name].kill()
        return now_ms

    async def stop(self, name: str) -> int:
        """SIGTERM, as a service manager does. The server's time in ms just before."""
        now_ms = await self.now_ms()
        self.processes[name].terminate()
        return now_ms

    async def ended(self, name: str) -> int:
        """The exit code of a replica that ends by itself."""
        process = self.processes[name]
        await eventually(lambda: process.poll() is not None)
        return int(process.returncode)

    def freeze(self, name: str) -> None:
        """SIGSTOP: it keeps its connections and does nothing."""
        os.kill(self.processes[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.kill(self.processes[name].pid, signal.SIGCONT)

    async def next_leader(self, after: str) -> Entry:
        """The first leader event after this stream id."""

        async def told() -> Any:
            entries = await self.client.xrange(self.keys.events, f"({after}", "+")
            return next((one for one in entries if one[1]["type"] == "leader"), None)

        found: Entry = await eventually(told)
        return found

    async def may_steal_again(self) -> None:
        """Returns when a dead leader's lease may be taken before it runs out: once in a ttl."""
        stolen = await self.client.hget(self.keys.cursor, "stolen_ms")
        free_ms = int(stolen or 0) + round(float(self.environment["HEALTH_LEASE_TTL"]) * 1000)
        await self._reaches(free_ms)

    # -- Redis -----------------------------------------------------------------------------------------------------

    async def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def last_event(self) -> str:
        """The stream id of the newest event."""
        newest = await self.client.xrevrange(self.keys.events, count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def events(self, after: str = "0-0", **wanted: str) -> list[Entry]:
        """The events after this id whose fields are as wanted."""
        entries: list[Entry] = await self.client.xrange(self.keys.events, f"({after}", "+")
        return [one for one in entries if all(one[1].get(name) == value for name, value in wanted.items())]

    async def is_in(self, component: str, state: str) -> bool:
        """Whether the stored state of a component is this one."""
        return bool(await self.client.hget(self.keys.component(component), "state") == state)

    async def is_follower(self, name: str) -> bool:
        """Whether a replica says that it follows."""
        return bool(await self.client.hget(self.keys.monitor(name), "role") == "follower")

    async def is_seen_alive(self) -> bool:
        """Whether the holder of the lease is subscribed to its alive channel."""
        replica, incarnation, _ = (await self.client.get(self.keys.leader)).split("|")
        counts = await self.client.execute_command("PUBSUB", "SHARDNUMSUB", self.keys.alive(replica, incarnation))
        return bool(int(counts[1]))

    async def passes(self, ms: int) -> None:
        """Returns when the server's clock has gone on by so much."""
        await self._reaches(await self.now_ms() + ms)

    async def in_state(self, state: str) -> int:
        """How many components are in a state."""
        return int(await self.client.zcard(self.keys.state(state)))

    async def ask(self, **fields: str) -> str:
        """Append a command to the control stream; its id."""
        [entry] = await self.ask_together(fields)
        return entry

    async def ask_together(self, *commands: Fields) -> list[str]:
        """Append commands in one transaction, so that their ids have one millisecond."""
        pipeline = self.client.pipeline(transaction=True)
        for fields in commands:
            pipeline.xadd(self.keys.control, fields)
        entries: list[str] = await pipeline.execute()
        self.commands.update(zip(entries, commands, strict=True))
        return entries

    async def answered(self, entry: str) -> None:
        """Returns when the leader's cursor is past this command."""

        async def past() -> bool:
            cursor = await self.client.hget(self.keys.cursor, "control") or "0-0"
            return order(cursor) >= order(entry)

        await eventually(past)

    async def kill_connection(self, name: str, *, other_than: str = "") -> str:
        """CLIENT KILL the connection of this name; its id, "" when there is none but the given one."""
        for one in await self.client.client_list():
            if one["name"] == f"healthmon-{name}" and one["id"] != other_than:
                await self.client.client_kill_filter(_id=one["id"])
                return str(one["id"])
        return ""

    # -- the end ---------------------------------------------------------------------------------------------------

    async def at_rest(self) -> History:
        """Stop the load, have everything stored that was sent, and read the whole history."""
        self.load.hush()
        known = await self.client.zrange(self.keys.components, 0, -1)
        asked = ""
        for one in known:
            asked = await self.ask(cmd="sync", id=one, upto=self.load.last.get(one, "0-0"))
        if asked:
            await self.answered(asked)
        heard = [json.loads(alert) for alert in self.heard]
        history = await read_history(self.client, self.keys)
        history.sent, history.commands = dict(self.load.sent), self.commands
        history.alerts, history.stages_ms = heard, self.stages_ms
        history.executed, history.settings = self.executed, self.settings
        return history

    def end(self) -> None:
        """No process is left, frozen or not."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()

    def logs(self) -> str:
        """The last lines that each replica said, for a failure's report."""
        return "\n".join(
            f"--- {path.stem}\n" + "\n".join(path.read_text().splitlines()[-40:])
            for path in sorted(self.folder.glob("*.log"))
        )

    async def listen(self, subscribed: anyio.Event) -> None:
        """Keep every alert of the channel until cancelled, unread: a story in a hurry has no time for it."""
        host, port = self.url.partition("://")[2].partition("/")[0].split(":")
        reader = hiredis.Reader()
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(hiredis.pack_command(("SUBSCRIBE", self.keys.alerts)))  # type: ignore[arg-type]  # its types speak of a tuple of one
            while True:
                reader.feed(await stream.receive())
                while (message := reader.gets()) is not False:
                    if message[0] == b"message":
                        self.heard.append(message[2])
                    subscribed.set()

    def _spawn(self, name: str) -> None:
        if name in self.processes:
            self.processes[name].wait()
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.replica_process"],
                cwd=ROOT,
                env={**self.environment, "HEALTH_REPLICA_ID": name},
                stdout=log,
                stderr=log,
            )

    async def _reaches(self, at_ms: int) -> None:
        async def past() -> bool:
            return await self.now_ms() > at_ms

        await eventually(past)

    async def _is_hot(self, name: str) -> bool:
        if self.processes[name].poll() is not None:
            raise RuntimeError(f"replica {name} ended with {self.processes[name].returncode}")
        pid = await self.client.hget(self.keys.monitor(name), "pid")
        return bool(pid) and int(pid) == self.processes[name].pid


@asynccontextmanager
async def cluster(
    url: str,
    folder: Path,
    *names: str,
    prefix: str = "hm-test",
    through: str = "",
    verbs: Path | None = None,
    keeps_promises: bool = True,
    settings: Mapping[str, float | bool] | None = None,
) -> AsyncIterator[Cluster]:
    """Replicas of these names (m1 to m3 unless given) over the server of `url`, which they reach by `through`.

    `settings` are laid over QUICK. `verbs`: a folder with other texts of some scripts. `keeps_promises` False: the
    story asserts by itself what the history shows.
    """
    given = {**QUICK, **(settings or {})}
    environment = {f"HEALTH_{name.upper()}": str(value) for name, value in given.items()}
    environment |= {"HEALTH_REDIS_URL": through or url, "HEALTH_PREFIX": prefix, "PATH": os.environ["PATH"]}
    environment |= {"VERBS_FROM": str(verbs)} if verbs else {}
    client = Redis.from_url(url, decode_responses=True, protocol=2, retry=Retry(NoBackoff(), 0))
    keys = Keys(prefix, 0)
    stages = {"degraded": "heartbeat_timeout", "unhealthy": "degraded_threshold", "dead": "dead_threshold"}
    stages_ms = {state: round(float(given[name]) * 1000) for state, name in stages.items()}
    async with client, anyio.create_task_group() as group:
        load = Load(client, keys.heartbeats, group)
        made = Cluster(url, keys, folder, client, load, environment, given, stages_ms)
        try:
            await _begin(made, group, names or ("m1", "m2", "m3"))
            yield made
            if keeps_promises:
                assert_kept(await made.at_rest())
        except BaseException as error:
            error.add_note(made.logs())
            raise
        finally:
            made.end()
            group.cancel_scope.cancel()


async def _begin(made: Cluster, group: TaskGroup, names: tuple[str, ...]) -> None:
    subscribed = anyio.Event()
    group.start_soon(made.listen, subscribed)
    await subscribed.wait()
    await made.start(*names)
    await made.leader()


def late_ms(entry: str, since_ms: int) -> int:
    """How long after a moment of the server's clock an entry was appended."""
    return entry_ms(entry) - since_ms


def order(entry: str) -> tuple[int, int]:
    """A stream id as numbers, for comparing."""
    ms, _, sequence = entry.partition("-")
    return int(ms), int(sequence or 0)
