"""Appending heartbeats: forms, limits, what is learnt from the data set, failures."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from healthmon.agent.wire import Wire
from healthmon.errors import ConfigurationError, NotPermitted, StoreUnavailable
from healthmon.store.keys import Keys, meta_key, shard_of
from tests.agent.reading import ask, beats, decoded
from tests.servers import FreshServer

pytestmark = pytest.mark.anyio


async def test_one_heartbeat_is_an_entry_of_its_own_in_the_compact_form(url: str, prefix: str) -> None:
    wire = Wire(url, prefix)
    (entry_id,) = wire.append([{"id": "a", "latency_ms": 3.0}])
    ((stored_id, fields),) = ask(url, "XRANGE", Keys(prefix).heartbeats, "-", "+")
    assert stored_id.decode() == entry_id
    assert fields[:3] == [b"id", b"a", b"p"]
    assert decoded(fields)[0].metrics == {"latency_ms": 3.0}
    wire.close()


async def test_many_share_entries_that_the_monitor_reads_whole_and_in_order(url: str, prefix: str) -> None:
    wire = Wire(url, prefix)
    ids = wire.append([{"id": f"c{i}", "msg": "x" * 500, "m.i": float(i)} for i in range(200)])
    wire.close()
    assert 7 <= len(ids) <= 16
    found = beats(url, prefix)
    assert [(beat.id, beat.metrics["m.i"]) for beat in found] == [(f"c{i}", i) for i in range(200)]


async def test_shards_and_the_length_of_the_stream_come_from_the_data_set(url: str, prefix: str) -> None:
    ask(url, "HSET", meta_key(prefix), "shards", 3, "heartbeats_max", 150)
    wire = Wire(url, prefix)
    for _ in range(10):
        for _ in range(50):
            wire.append([{"id": "a"}, {"id": "b"}])
    wire.append([{"id": name} for name in "abcdefgh"])
    wire.close()
    for name in "abcdefgh":
        stream = Keys(prefix, shard_of(name, 3)).heartbeats
        entries = ask(url, "XRANGE", stream, "-", "+")
        assert name in {beat.id for _, fields in entries for beat in decoded(fields)}
    assert 150 <= ask(url, "XLEN", Keys(prefix, shard_of("a", 3)).heartbeats) < 300


@pytest.mark.parametrize("nonsense", ["0", "-1", "many", ""])
async def test_nonsense_in_the_data_set_gives_the_defaults(url: str, prefix: str, nonsense: str) -> None:
    ask(url, "HSET", meta_key(prefix), "shards", nonsense, "heartbeats_max", nonsense)
    wire = Wire(url, prefix)
    wire.append([{"id": "a"}])
    wire.close()
    assert [beat.id for beat in beats(url, prefix)] == ["a"]


async def test_a_user_who_may_only_append_can_send(url: str, prefix: str) -> None:
    ask(url, "ACL", "SETUSER", "sender", "on", ">secret", f"~{prefix}:*", "+xadd", "+client", "+select")
    try:
        wire = Wire(url.replace("://", "://sender:secret@"), prefix)
        wire.append([{"id": "a"}])
        wire.close()
        assert [beat.id for beat in beats(url, prefix)] == ["a"]
        ask(url, "ACL", "SETUSER", "sender", "-xadd")
        with pytest.raises(NotPermitted):
            wire.append([{"id": "a"}])
    finally:
        ask(url, "ACL", "DELUSER", "sender")


async def test_no_reply_to_a_failed_batch_answers_the_next_heartbeat(url: str, prefix: str) -> None:
    ask(url, "HSET", meta_key(prefix), "shards", 2)
    refused, taken = (next(name for name in "abcdefgh" if shard_of(name, 2) == shard) for shard in (0, 1))
    stream = Keys(prefix, 1).heartbeats
    rights = ("+xadd", "+hmget", "+client", f"~{prefix}:meta", f"~{stream}")
    ask(url, "ACL", "SETUSER", "partly", "on", ">secret", *rights)
    try:
        wire = Wire(url.replace("://", "://partly:secret@"), prefix)
        wire.append([{"id": taken}])
        with pytest.raises(NotPermitted):
            wire.append([{"id": refused}, {"id": taken}])
        (entry_id,) = wire.append([{"id": taken}])
        assert ask(url, "XREVRANGE", stream, "+", "-", "COUNT", 1)[0][0].decode() == entry_id
        wire.close()
    finally:
        ask(url, "ACL", "DELUSER", "partly")


async def test_after_a_failure_the_next_heartbeat_makes_a_new_connection(
    fresh_server: Callable[..., FreshServer], prefix: str
) -> None:
    server = fresh_server()
    wire = Wire(await server.start(), prefix)
    wire.append([{"id": "a"}])
    await server.stop()
    with pytest.raises(StoreUnavailable):
        wire.append([{"id": "a"}])
    await server.start()
    wire.append([{"id": "b"}])
    assert [beat.id for beat in beats(server.url, prefix)] == ["b"]
    wire.close()


async def test_a_server_that_answers_nothing_costs_no_more_than_the_time_out(
    fresh_server: Callable[..., FreshServer], prefix: str
) -> None:
    server = fresh_server()
    wire = Wire(await server.start(), prefix, timeout_s=0.2)
    wire.append([{"id": "a"}])
    server.freeze()
    begun_s = monotonic()
    with pytest.raises(StoreUnavailable):
        wire.append([{"id": "a"}])
    assert monotonic() - begun_s < 1
    server.thaw()


async def test_a_url_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError):
        Wire("http://127.0.0.1", "healthmon")
