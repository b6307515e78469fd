"""What a replica starts from, and what it keeps for the time when it may lead."""

from __future__ import annotations

from healthmon.core.reporting import fold_report
from healthmon.core.reports import ProbeReport
from healthmon.core.table import STRETCHES_KEPT, Table
from healthmon.store.codec import Wire, hash_fields, read_component
from tests.core.shard import START_MS, Shard, canary, lead, probed


def test_a_record_that_was_stored_before_its_failed_probe_was_judged_is_judged_by_who_loads_it() -> None:
    shard = Shard()
    shard.declare(probe={"url": "tcp://x:1", "interval": 1})
    shard.probe()
    shard.say(interval=10)
    assert shard.state() == "healthy"
    report = probed(shard.now_ms + 1, ProbeReport("a", shard["a"].breaker.generation, "failed", 9, "timed out"))
    assert fold_report(shard.table, report)
    table = Table(shard.defaults, Wire())
    table.put(read_component(hash_fields(shard["a"]), shard.defaults))
    table.fold([canary(shard.now_ms + 2)])
    assert [one.target for one in lead(table, table.seen_ms)] == ["degraded"]


def test_blind_stretches_that_nobody_here_stores_are_kept_to_the_latest_hundred() -> None:
    table = Table(Shard().defaults, Wire())
    for number in range(STRETCHES_KEPT + 5):
        table.note_blind(START_MS + 10 * number, START_MS + 10 * number + 5)
    assert len(table.new_stretches) == STRETCHES_KEPT
    assert table.new_stretches[0][0] == START_MS + 50
    assert len(table.blindness.stretches) == STRETCHES_KEPT + 5, "all are excused"
