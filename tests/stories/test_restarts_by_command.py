"""Restarts that a replica carries out itself, when that replica is killed at any moment of an attempt."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import Cluster, cluster, late_ms
from tests.healing_promises import changes
from tests.history import Entry
from tests.overhearing import overhearing
from tests.proxy import Command, proxy_to
from tests.servers import is_alive
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
SETTINGS: dict[str, float | bool] = {
    "lease_ttl": 2.0,
    "heartbeat_timeout": 20.0,
    "degraded_threshold": 40.0,
    "dead_threshold": 60.0,
    "allow_exec": True,
}
JOB = "job"
TIMEOUT_S = 1.5
ON_TIME_MS = 300
# Says that it was called and with what, waits while there is a reason to, and says that it is done.
PROGRAM = """
echo "$HEALTH_RESTART_ATTEMPT $$" >> called
while [ -e wait ]; do sleep 0.02; done
echo "$HEALTH_RESTART_ATTEMPT" >> done
"""


def lines(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


async def claimed(cl: Cluster, number: int) -> Entry:
    async def look() -> list[Entry]:
        found = await cl.events(id=JOB, type="transition", to="restarting")
        assert len(found) >= number, await cl.client.hgetall(cl.keys.component(JOB))
        return found

    return (await eventually(look, 15.0))[number - 1]


async def dies(cl: Cluster, folder: Path) -> None:
    """A component with a restart command says that its process has ended."""
    program = folder / "restart.sh"
    program.write_text(f"cd {folder}\n{PROGRAM}")
    restart = {"method": "exec", "command": ["sh", str(program)], "base_delay": 0.2, "timeout": TIMEOUT_S}
    await cl.ask(cmd="register", id=JOB, policy=json.dumps({"restart": restart, "startup_timeout": 5}))
    await cl.load.send([JOB], incarnation="first")
    await eventually(partial(cl.is_in, JOB, "healthy"))
    await cl.ask(cmd="report", kind="exit", id=JOB, code="1", signal="", lines="out of cheese", incarnation="first")


def takes(command: Command) -> bool:
    return command[0] == b"EVALSHA" and JOB.encode() in command


def tells_outcome(command: Command) -> bool:
    return command[0] == b"XADD" and b"ok" in command


# What of the replica's own is held back when it is killed; nothing while the command runs, which waits by itself.
MOMENTS: dict[str, Callable[[Command], bool] | None] = {
    "before it is taken": takes,
    "during the call": None,
    "before the report": tells_outcome,
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_replica_killed_in_an_attempt_has_it_counted_never_repeated_and_the_next_one_made_in_time_by_another(
    url: str, tmp_path: Path, moment: str
) -> None:
    async with (
        proxy_to(url) as proxy,
        cluster(url, tmp_path, "m1", "m2", through=proxy.url, settings=SETTINGS) as cl,
        overhearing(cl),
    ):
        leader, last = await cl.leader(), await cl.last_event()
        gate = proxy.gate(f"{leader}-take")
        gate.hold = MOMENTS[moment]
        if gate.hold is None:
            (tmp_path / "wait").touch()
        await dies(cl, tmp_path)
        entry, said = await claimed(cl, 1)
        assert changes(said)["restart"]["runner"] == leader
        await eventually(lambda: gate.held or (gate.hold is None and lines(tmp_path, "called")), 10)
        await cl.kill(leader)
        await cl.next_leader(last)
        called = lines(tmp_path, "called")
        assert len(called) == (moment != "before it is taken")
        assert lines(tmp_path, "done") == (["1"] if moment == "before the report" else [])
        if moment == "during the call":
            pid = int(called[0].split()[1])
            await eventually(lambda: not is_alive(pid))
            (tmp_path / "wait").unlink()
        again, next_ = await claimed(cl, 2)
        assert changes(next_)["restart"]["done"] == 2, "the first is counted"
        [(died, dead)] = [one for one in await cl.events(entry, id=JOB, to="dead") if one[0] < again]
        assert 0 <= late_ms(again, changes(dead)["restart"]["next_ms"]) < ON_TIME_MS
        waits_ms = late_ms(died, int(changes(said)["restart"]["deadline_ms"]))
        assert 5_000 <= waits_ms < 5_000 + ON_TIME_MS, "its report is waited for, and no longer"
        await eventually(lambda: lines(tmp_path, "done")[-1:] == ["2"], 10)
        await eventually(partial(cl.is_in, JOB, "initializing"))
        await cl.load.send([JOB], incarnation="second")
        await eventually(partial(cl.is_in, JOB, "healthy"))
        assert [line.split()[0] for line in lines(tmp_path, "called")] == [*(["1"] if called else []), "2"]


async def test_a_command_that_fails_is_tried_again_at_its_times_and_given_up_with_its_last_words(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", settings=SETTINGS) as cl, overhearing(cl):
        command = ["sh", "-c", "echo no such unit; exit 5"]
        restart = {"method": "exec", "command": command, "base_delay": 0.2, "max_retries": 2, "timeout": 5}
        await cl.ask(cmd="register", id=JOB, policy=json.dumps({"restart": restart, "startup_timeout": 5}))
        await cl.load.send([JOB], incarnation="first")
        await eventually(partial(cl.is_in, JOB, "healthy"))
        await cl.ask(cmd="report", kind="exit", id=JOB, code="1", signal="", lines="", incarnation="first")
        await eventually(partial(cl.is_in, JOB, "permanently_failed"), 10)
        [(_, said)] = await cl.events(id=JOB, to="permanently_failed")
        assert "gave up after 2 of 2 restarts" in said["reason"]
        assert "no such unit" in said["reason"]
        assert len(await cl.events(id=JOB, to="restarting")) == 2
