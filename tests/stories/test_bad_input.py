"""Whatever bytes are sent, the round goes on: what can't be read is stored as refused, with its reason, and counted."""

from __future__ import annotations

import json
import struct
from collections import Counter
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from healthmon.core.command import KNOWN
from healthmon.store.calls import call
from healthmon.store.codec import text_map
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
PATIENT: dict[str, Any] = {"heartbeat_timeout": 20, "degraded_threshold": 40, "dead_threshold": 60}
KNOWN_ID = "known"


def packed(**said: Any) -> bytes:
    return bytes(msgpack.packb(said))


def nested(depth: int) -> bytes:
    """A msgpack map with an id and lists within lists: deeper than the interpreter may recurse."""
    return b"\x82\xa2id\xa6nested\xa3msg" + b"\x91" * depth + b"\xc0"


REFUSED: dict[str, tuple[str, list[str | bytes]]] = {
    "no id": ("no_id", ["status", "ok"]),
    "an empty id": ("no_id", ["id", ""]),
    "empty names and values": ("no_id", ["", ""]),
    "a canary that says more": ("no_id", ["canary", "x", "status", "ok"]),
    "a dot in front": ("bad_id", ["id", ".hidden"]),
    "a path": ("bad_id", ["id", "../../etc/passwd"]),
    "a space": ("bad_id", ["id", "a b"]),
    "an id with a line end": ("bad_id", ["id", "known\n"]),
    "another key's name": ("bad_id", ["id", "x}:leader"]),
    "an id of 129 letters": ("bad_id", ["id", "x" * 129]),
    "an id that is no UTF-8": ("bad_id", ["id", b"\xff\xfe\x00"]),
    "terminal control": ("bad_id", ["id", "\x1b[2J\x07"]),
    "letters of another script": ("bad_id", ["id", "компонент"]),
    "the second of two ids": ("bad_id", ["id", "good", "id", "b a d"]),
    "a packed id that is a number": ("bad_id", ["p", packed(id=7)]),
    "a packed id that is a list": ("bad_id", ["p", packed(id=["known"])]),
    "p without an id": ("no_id", ["p", packed(status="ok")]),
    "p of chance": ("not_a_map", ["id", KNOWN_ID, "p", b"\xc1\xff\x00\x13"]),
    "p that is empty": ("not_a_map", ["id", KNOWN_ID, "p", ""]),
    "p that is a list": ("not_a_map", ["id", KNOWN_ID, "p", msgpack.packb([1, 2])]),
    "p that is text": ("not_a_map", ["id", KNOWN_ID, "p", "latency_ms=4"]),
    "p that is cut off": ("not_a_map", ["id", KNOWN_ID, "p", packed(msg="hello")[:-2]]),
    "p with more behind it": ("not_a_map", ["id", KNOWN_ID, "p", packed(msg="hello") + b"\x00"]),
    "p that promises four thousand million names": ("not_a_map", ["id", KNOWN_ID, "p", b"\xdf\xff\xff\xff\xff"]),
    "p nested deeper than msgpack reads": ("not_a_map", ["id", KNOWN_ID, "p", b"\x81\xa1x" + b"\x91" * 5000]),
    "p with a list for a name": ("not_a_map", ["id", KNOWN_ID, "p", b"\x81\x91\x01\x01"]),
    "b that is a map": ("not_a_map", ["b", packed(id="a")]),
    "b of chance": ("not_a_map", ["b", b"\xc1"]),
    "16 KiB and a byte": ("too_large", ["id", KNOWN_ID, "msg", "x" * 16_384]),
    "a megabyte": ("too_large", ["id", KNOWN_ID, "msg", b"\x00" * 1_048_576]),
    "a megabyte of a name": ("too_large", ["id", KNOWN_ID, b"n" * 1_048_576, "x"]),
    "a thousand fields": ("too_large", ["id", KNOWN_ID, *(f"m.{'x' * 20}{n}" for n in range(1000))]),
}

# Fields -> what is noted as dropped; the heartbeat itself counts.
COUNTED: dict[str, tuple[str, list[str | bytes]]] = {
    "NaN": ("latency_ms", ["id", "c", "latency_ms", "nan"]),
    "infinite": ("error_rate", ["id", "c", "error_rate", "-inf"]),
    "no number": ("cpu_percent", ["id", "c", "cpu_percent", "much"]),
    "an empty metric": ("latency_ms", ["id", "c", "latency_ms", ""]),
    "packed NaN": ("m.x", ["id", "c", "p", b"\x81\xa3m.x\xcb" + struct.pack(">d", float("nan"))]),
    "a truth value": ("m.x", ["id", "c", "p", packed(**{"m.x": True})]),
    "nothing": ("m.x", ["id", "c", "p", packed(**{"m.x": None})]),
    "a nested metric": ("m.x", ["id", "c", "p", b"\x81\xa3m.x" + b"\x91" * 1000 + b"\xc0"]),
    "a nested map": ("m.x", ["id", "c", "p", packed(**{"m.x": {"a": {"b": 1}}})]),
    "more digits than a float holds": ("m.x", ["id", "c", "m.x", "9" * 5000]),
    "sixty-five metrics": ("m.64", ["id", "c", "p", packed(**{f"m.{n}": n for n in range(65)})]),
    "an unknown status": ("status", ["id", "c", "status", "splendid"]),
    "a status that is a list": ("status", ["id", "c", "p", packed(status=["ok"])]),
    "an interval of nothing": ("interval", ["id", "c", "interval", "0"]),
    "an interval of ages": ("interval", ["id", "c", "interval", "1e300"]),
    "an interval that is no number": ("interval", ["id", "c", "interval", "soon"]),
}

# Nothing of these is refused or dropped.
TAKEN: dict[str, list[str | bytes]] = {
    "control bytes in every text": [
        *("id", "c", "msg", "\x00\x1b[31m\r\n\x9b", "host", b"\xff\xfe", "role", "\x07", "version", "\u202e"),
    ],
    "a nested message": ["p", nested(1000)],
    "the greatest numbers": ["id", "c", "p", packed(ts=2**64 - 1, pid=-(2**63), **{"m.x": 2**64 - 1, "m.y": 1e308})],
    "a time of another age": ["id", "c", "ts", "1e400"],
    "unknown fields": ["id", "c", "colour", "red", "", "x"],
    "names that are numbers": ["id", "c", "p", msgpack.packb({1: 2, None: 3})],
    "a packed id that is bytes": ["p", packed(id=b"c")],
    "a surrogate": ["id", "c", "p", b"\x81\xa3msg\xa3\xed\xa0\x80"],
}

COMMANDS: dict[str, tuple[str, list[str | bytes]]] = {
    "no cmd": ("unknown_command", ["id", KNOWN_ID]),
    "an empty entry": ("unknown_command", ["", ""]),
    "an unknown cmd": ("unknown_command", ["cmd", "format-disk", "id", KNOWN_ID]),
    "bytes": ("unknown_command", ["cmd", b"\xff\x00"]),
    "no id": ("no_id", ["cmd", "forget"]),
    "a bad id": ("bad_id", ["cmd", "forget", "id", "../x"]),
    "one who is not known": ("bad_command", ["cmd", "forget", "id", "nobody"]),
    "step-down of nobody": ("bad_command", ["cmd", "step-down"]),
    "step-down of another": ("bad_command", ["cmd", "step-down", "epoch", "7"]),
    "an epoch of five thousand digits": ("bad_command", ["cmd", "step-down", "epoch", "9" * 5000]),
    "an epoch of other digits": ("bad_command", ["cmd", "step-down", "epoch", "١٢"]),
    "upto that is no id": ("bad_command", ["cmd", "sync", "id", KNOWN_ID, "upto", "now"]),
    "upto of other digits": ("bad_command", ["cmd", "sync", "id", KNOWN_ID, "upto", "²-0"]),
    "policy that is no JSON": ("bad_command", ["cmd", "register", "id", "x", "policy", "{"]),
    "policy that is a list": ("bad_command", ["cmd", "register", "id", "x", "policy", "[]"]),
    "policy nested without end": ("bad_command", ["cmd", "register", "id", "x", "policy", "[" * 10_000]),
    "policy with an unknown part": ("bad_command", ["cmd", "register", "id", "x", "policy", '{"colour": 1}']),
    "thresholds that fall": ("bad_command", ["cmd", "register", "id", "x", "policy", '{"dead_threshold": 1}']),
    "a whole number that no float holds": (
        "bad_command",
        ["cmd", "register", "id", "x", "policy", '{"interval": 1' + "0" * 400 + "}"],
    ),
    "a number of five thousand digits": (
        "bad_command",
        ["cmd", "register", "id", "x", "policy", '{"interval": ' + "1" * 5000 + "}"],
    ),
    "NaN": ("bad_command", ["cmd", "register", "id", "x", "policy", '{"interval": NaN}']),
    "a score row whose double is infinite": (
        "bad_command",
        ["cmd", "register", "id", "x", "policy", '{"score": {"m.x": [1, 2, 1e308]}}'],
    ),
    "half a surrogate for a role": ("bad_command", ["cmd", "register", "id", "x", "policy", '{"role": "\\ud800"}']),
    "a role that clears the screen": (
        "bad_command",
        ["cmd", "register", "id", "x", "policy", json.dumps({"role": "\x1b[2J"})],
    ),
    "a report of nothing": ("bad_command", ["cmd", "report", "id", KNOWN_ID]),
    "a megabyte": ("too_large", ["cmd", "register", "id", "x", "reason", "x" * 1_048_576]),
}


async def test_every_malformed_heartbeat_is_refused_with_its_reason_and_counted(url: str) -> None:
    async with replicas(url, "m1", **PATIENT) as cluster:
        await cluster.send("id", KNOWN_ID)
        sent = {name: await cluster.send(*fields) for name, (_, fields) in REFUSED.items()}
        await cluster.send("id", KNOWN_ID)
        await cluster.counted(KNOWN_ID, 2)
        stored = await refusals(cluster)
        assert {name: stored[entry]["reason"] for name, entry in sent.items()} == {
            name: reason for name, (reason, _) in REFUSED.items()
        }
        payload = stored[sent["a megabyte"]]["payload"]
        assert len(payload) <= 1024
        guard = text_map(await call(cluster.client, "HGETALL", cluster.keys.guard))
        counts = {name.partition(":")[2]: int(count) for name, count in guard.items() if name.startswith("rejected:")}
        assert counts == Counter(reason for reason, _ in REFUSED.values())
        of_known = sum(fields[:2] == ["id", KNOWN_ID] for _, fields in REFUSED.values())
        assert (await cluster.record(KNOWN_ID))["refused_heartbeats"] == str(of_known), "it sends, but is refused"
        assert set(await cluster.states()) == {KNOWN_ID}


async def test_a_heartbeat_with_bad_metrics_counts_and_what_was_dropped_is_noted(url: str) -> None:
    async with replicas(url, "m1", **PATIENT) as cluster:
        sent = {name: await cluster.send(*fields) for name, (_, fields) in COUNTED.items()}
        await cluster.counted("c", len(COUNTED))
        stored = await refusals(cluster)
        for name, (part, _) in COUNTED.items():
            refusal = stored[sent[name]]
            assert (refusal["reason"], refusal["id"]) == ("dropped_metrics", "c"), name
            assert part in refusal["detail"], (name, refusal)
        record = await cluster.record("c")
        assert (record["status"], record["refused_heartbeats"]) == ("ok", "0")
        json.loads(record["metrics"], parse_constant=pytest.fail)


async def test_strange_but_readable_heartbeats_are_taken_and_made_fit_to_show(url: str) -> None:
    async with replicas(url, "m1", **PATIENT) as cluster:
        for fields in TAKEN.values():
            await cluster.send(*fields)
        await cluster.counted("c", len(TAKEN) - 1)
        await cluster.counted("nested", 1)
        assert await refusals(cluster) == {}
        record = await cluster.record("c")
        shown = "".join(record[name] for name in ("msg", "host", "role", "version", "pid"))
        assert shown.isprintable(), repr(shown)


async def test_of_several_in_one_entry_the_good_ones_count(url: str) -> None:
    async with replicas(url, "m1", **PATIENT) as cluster:
        good = [{"id": "a"}, {"id": "b", "latency_ms": 4}, {"id": "a"}]
        bad = [7, {"id": "../x"}, {"status": "ok"}, {"id": ".."}, None]
        mixed = await cluster.send("b", msgpack.packb([*good, *bad]))
        long = await cluster.send("b", msgpack.packb([{"id": "many"}] * 1200))
        await cluster.counted("a", 2)
        await cluster.counted("b", 1)
        await cluster.counted("many", 1000)
        stored = await call(cluster.client, "XRANGE", cluster.keys.rejected, "-", "+")
        told = [text_map(fields) for _, fields in stored]
        assert {one["reason"]: one["detail"].partition(":")[0] for one in told if one["entry"] == mixed.decode()} == {
            "not_a_map": "2 of 8 in b",
            "bad_id": "2 of 8 in b",
            "no_id": "1 of 8 in b",
        }
        assert [one["reason"] for one in told if one["entry"] == long.decode()] == ["too_large"]


async def test_every_malformed_command_is_refused_with_its_reason_and_the_next_is_obeyed(url: str) -> None:
    async with replicas(url, "m1", **PATIENT) as cluster:
        await cluster.send("id", KNOWN_ID)
        sent = {name: await cluster.ask(*fields) for name, (_, fields) in COMMANDS.items()}
        await cluster.ask("cmd", "register", "id", "last", "by", "\x1b[2J", "reason", "\x00\n")
        await eventually(lambda: cluster.record("last"))

        async def all_stored() -> dict[bytes, dict[str, str]]:
            stored = await refusals(cluster)
            assert len(stored) == len(COMMANDS), set(sent.values()) - stored.keys()
            return stored

        stored = await eventually(all_stored)
        assert {name: stored[entry]["reason"] for name, entry in sent.items()} == {
            name: reason for name, (reason, _) in COMMANDS.items()
        }
        assert {one["channel"] for one in stored.values()} == {"control"}
        assert await cluster.leader()
        for event in await cluster.events():
            assert "".join(event.values()).isprintable(), event


async def test_a_sync_that_can_never_be_answered_holds_up_nothing(url: str) -> None:
    async with replicas(url, "m1", **PATIENT) as cluster:
        leader = await cluster.leader()
        never = await cluster.ask("cmd", "sync", "id", KNOWN_ID, "upto", "99999999999999-0")
        await eventually(lambda: leader.parts.orders.syncs)
        await cluster.send("id", KNOWN_ID)
        leader.parts.table.seen_ms += 11_000  # ten seconds later
        await cluster.send("id", KNOWN_ID)

        async def passed() -> bool:
            cursor = await call(cluster.client, "HGET", cluster.keys.cursor, "control")
            return bool(cursor >= never)

        await eventually(passed)
        assert not leader.parts.orders.syncs


async def test_components_beyond_the_limits_are_refused_and_the_known_go_on(url: str) -> None:
    async with replicas(url, "m1", max_components=2, **PATIENT) as cluster:
        for _ in range(3):
            for name in ("a", "b", "c", "d"):
                await cluster.send("id", name)
        await cluster.counted("a", 3)
        await cluster.counted("b", 3)
        assert set(await cluster.states()) == {"a", "b"}
        told = (await refusals(cluster)).values()
        assert {(one["reason"], one["id"]) for one in told} == {
            ("too_many_components", "c"),
            ("too_many_components", "d"),
        }


async def test_records_that_a_hand_has_spoilt_keep_no_replica_from_starting(url: str) -> None:
    spoilt = {
        "memory": "[]",
        "metrics": '{"latency_ms": "x"}',
        "folded": "0:yesterday",
        "state": "splendid",
        "rev": "x",
        "policy": "[" * 5000,
        "control_folded": "today",
        "since": "yesterday",
    }
    async with replicas(url, "m1", **PATIENT) as cluster:
        for name in (*spoilt, "good"):
            await cluster.send("id", name)
        await cluster.counted("good", 1)
        for name, value in spoilt.items():
            await call(cluster.client, "HSET", cluster.keys.component(name), name, value)
        await call(cluster.client, "SET", cluster.keys.component("string"), "x")
        await call(cluster.client, "ZADD", cluster.keys.components, 1, "string", 2, b"\xff\xfe")
        await cluster.stop("m1")
        await cluster.start("m2")
        assert "good" in (await cluster.leader()).parts.table.components
        for name in (*spoilt, "good", "string"):
            await cluster.send("id", name)
        await cluster.counted("good", 2)


names = st.sampled_from([b"id", b"p", b"b", b"status", b"interval", b"latency_ms", b"m.x", b"ts", b"msg", b"canary"])
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner), max_leaves=8
)
maps = st.dictionaries(st.sampled_from(["id", "status", "interval", "latency_ms", "m.x", "msg", "ts"]), values)
payloads = st.one_of(
    st.binary(max_size=64),
    maps.map(lambda said: bytes(msgpack.packb({**said, "id": "c"}))),
    st.lists(maps, max_size=4).map(lambda said: bytes(msgpack.packb(said))),
    st.sampled_from([b"", b"c", b"ok", b"failing", b"stopping", b"starting", b"-1", b"1e309", b"nan", b"\xff"]),
)
entries = st.lists(st.tuples(names | st.binary(max_size=8), payloads), min_size=1, max_size=6)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "interval", "heartbeat_timeout", "dead_threshold", "score", "restart", "expected"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
).map(json.dumps)
commands = st.fixed_dictionaries(
    {"cmd": st.sampled_from(sorted(KNOWN)) | st.text(max_size=4)},
    optional={
        "id": st.sampled_from(["c", "d", "", "..", "x y"]),
        "policy": json_like | st.text(max_size=8),
        "epoch": st.text(max_size=4) | st.integers().map(str),
        "upto": st.text(max_size=4) | st.sampled_from(["0", "5-5", "99999999999999-0", "-"]),
        "kind": st.sampled_from(["probe", "failure", "exit", "restart", ""]),
        "by": st.text(max_size=8),
        "reason": st.text(max_size=8),
    },
)


async def test_no_entry_whatever_stops_the_leader(url: str) -> None:
    """What is made up is collected first and then sent as one flood; one replica folds it and another follows."""
    flood: list[list[bytes]] = []
    orders: list[list[bytes]] = []

    @settings(
        max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
    )
    @given(entries, commands)
    def collect(entry: list[tuple[bytes, bytes]], command: dict[str, str]) -> None:
        flood.append([part for pair in entry for part in pair])
        orders.append([part.encode("utf-8", "replace") for pair in command.items() for part in pair])

    collect()
    async with replicas(url, "m1", "m2", **PATIENT) as cluster:
        leader = await cluster.leader()
        epoch = leader.leadership.lease.epoch if leader.leadership else 0
        for heartbeat, order in zip(flood, orders, strict=True):
            await cluster.send(*heartbeat)
            await cluster.ask(*order)
        await cluster.send("id", "last")
        await cluster.counted("last", 1)
        after = await cluster.leader()
        assert after.leadership is not None
        assert after.leadership.lease.epoch == epoch, "the leader changed"
        follower = await cluster.follower()
        await eventually(lambda: "last" in follower.parts.table.components)
        await eventually(lambda: same(follower.parts.table, leader.parts.table), 20)


def same(one: Any, other: Any) -> bool:
    assert totals(one) == totals(other), sorted(set(totals(one).items()) ^ set(totals(other).items()))
    return True


def totals(table: Any) -> dict[str, tuple[int, int]]:
    return {one: (table.get(one).total_heartbeats, table.get(one).rev) for one in list(table.components)}


async def refusals(cluster: Replicas) -> dict[bytes, dict[str, str]]:
    """What is stored as refused: by the entry's id, the last of each."""
    stored = await call(cluster.client, "XRANGE", cluster.keys.rejected, "-", "+")
    found = [text_map(fields) for _, fields in stored]
    return {one["entry"].encode(): one for one in found}
