"""Evidence of the control stream: what it changes in a record, and that an entry folded twice counts once."""

from __future__ import annotations

import pytest

from healthmon.core.policy import Defaults
from healthmon.core.reporting import fold_report
from healthmon.core.reports import ProbeReport
from healthmon.core.table import Table
from healthmon.store.codec import Wire, hash_fields, read_component
from tests.core.shard import START_MS, Shard, entry, evidence, failed, flat, probed

PROBE = {"url": "tcp://db:5432"}


def ok(name: str = "a", ms: float = 10, generation: int = 0) -> ProbeReport:
    return ProbeReport(name, generation, "ok", ms, "")


def bad(name: str = "a", detail: str = "no answer", generation: int = 0) -> ProbeReport:
    return ProbeReport(name, generation, "failed", 5000, detail)


def probed_shard(*names: str) -> Shard:
    shard = Shard()
    for one in names or ("a",):
        shard.declare(one, probe=PROBE)
    return shard


# -- marks -------------------------------------------------------------------------------------------------------------


def test_an_entry_that_is_folded_twice_counts_once() -> None:
    shard = probed_shard()
    entries = [probed(START_MS + 1, bad(), seq=1), failed(START_MS + 1, seq=2), probed(START_MS + 2, bad())]
    for one in entries:
        assert fold_report(shard.table, one)
    before = evidence(shard["a"])
    for one in entries:
        assert fold_report(shard.table, one)
    assert evidence(shard["a"]) == before
    assert (shard["a"].probes.failed, shard["a"].failures.recorded, shard["a"].reports_folded) == (
        2,
        1,
        f"{START_MS + 2}-0",
    )


def test_each_component_has_its_own_mark_so_that_old_and_new_records_mix() -> None:
    shard = probed_shard("a", "b")
    entries = [probed(START_MS + n, bad("a"), bad("b")) for n in (1, 2, 3)]
    for one in entries[:2]:
        fold_report(shard.table, one)
    cold = Table(shard.defaults, Wire())
    cold.put(read_component(hash_fields(shard["a"]), shard.defaults))
    fold_report(shard.table, entries[2])
    cold.put(read_component(hash_fields(shard["b"]), shard.defaults))
    for one in entries:
        fold_report(cold, one)
    for name in ("a", "b"):
        assert evidence(cold.components[name]) == evidence(shard[name])
        assert cold.components[name].probes.failed == 3


def test_several_results_for_one_component_in_one_entry_all_count_once() -> None:
    shard = probed_shard()
    one = probed(START_MS + 1, bad(), bad(), bad())
    for _ in range(2):
        fold_report(shard.table, one)
    assert shard["a"].probes.failed == 3


def test_sequence_numbers_are_compared_as_numbers() -> None:
    shard = probed_shard()
    for seq in (9, 10, 11):
        fold_report(shard.table, failed(START_MS, seq=seq))
    assert shard["a"].failures.recorded == 3


def test_the_mark_of_reports_is_not_that_of_heartbeats() -> None:
    shard = probed_shard()
    fold_report(shard.table, failed(START_MS + 50))
    shard.table.fold([flat(START_MS + 20, seq=7)])
    assert shard["a"].total_heartbeats == 1
    shard.table.begin_era(3)
    fold_report(shard.table, failed(START_MS + 60))
    assert shard["a"].failures.total == 2, "the control stream has no eras"


# -- who is known ------------------------------------------------------------------------------------------------------


def test_a_recorded_failure_registers_an_unknown_one_as_a_first_heartbeat_does() -> None:
    shard = Shard()
    (registered, *_) = shard.control(failed(START_MS, "new", "500"))
    assert (registered.id, registered.rev, registered.born_ms) == ("new", 1, START_MS)
    assert (shard.state("new"), shard["new"].failures.recorded) == ("unknown", 1)
    closed = Shard(Defaults(auto_register=False))
    closed.control(failed(START_MS, "new"))
    assert closed.table.components == {}
    assert [one.reason for one in closed.table.rejections] == ["not_registered"]


def test_a_probes_result_of_an_unknown_one_registers_nobody() -> None:
    shard = Shard()
    shard.control(probed(START_MS, ok("ghost")))
    assert shard.table.components == {}


def test_what_came_before_it_was_born_or_forgotten_is_of_a_former_life() -> None:
    shard = probed_shard()
    fold_report(shard.table, failed(START_MS - 1))
    assert shard["a"].failures.recorded == 0
    shard.table.admission.forget("b", START_MS + 100, "")
    for at_ms in (START_MS + 99, START_MS + 100):
        fold_report(shard.table, failed(at_ms, "b"))
    assert "b" not in shard.table.components


def test_commands_are_left_to_the_leader_and_what_cannot_be_read_is_refused() -> None:
    shard = probed_shard()
    assert not fold_report(shard.table, entry(START_MS, "cmd", "hold", "id", "a"))
    assert not fold_report(shard.table, entry(START_MS, "cmd", "report", "kind", "exit", "id", "a"))
    assert fold_report(shard.table, entry(START_MS, "cmd", "report", "kind", "probe", "p", b"\xc1"))
    assert fold_report(shard.table, entry(START_MS, "cmd", "report", "kind", "failure", "id", "../a"))
    assert [(one.reason, one.channel) for one in shard.table.rejections] == [
        ("bad_report", "control"),
        ("bad_id", "control"),
    ]


# -- probes ------------------------------------------------------------------------------------------------------------


def test_a_good_probe_is_a_proof_of_life_and_ends_a_row_of_failures() -> None:
    shard = probed_shard()
    for report in (bad(), bad(), ok()):
        shard.watch(1)
        shard.control(probed(START_MS, report))
    probes = shard["a"].probes
    assert (probes.failed, probes.good, probes.outcome, probes.at_ms, probes.ok_ms) == (
        0,
        1,
        "ok",
        *(shard.now_ms,) * 2,
    )
    assert shard["a"].heard_ms == shard.now_ms
    shard.watch(1)
    shard.control(probed(START_MS, bad()))
    assert (shard["a"].probes.good, shard["a"].probes.failed, shard["a"].probes.ok_ms) == (0, 1, shard.now_ms - 1_000)


def test_counts_begin_anew_with_each_generation_and_an_older_one_is_late() -> None:
    shard = probed_shard()
    shard.control(probed(START_MS, bad(generation=2)))
    known = shard["a"].probes
    shard.control(probed(START_MS, ok(generation=1)))
    assert shard["a"].probes == known
    shard.control(probed(START_MS, bad(generation=3)))
    assert (shard["a"].probes.failed, shard["a"].probes.generation) == (1, 3)


def test_uptime_runs_from_the_first_good_probe_of_one_that_only_lives_by_them() -> None:
    shard = probed_shard()
    shard.control(probed(START_MS, bad()))
    assert shard["a"].alive_since_ms == 0
    shard.watch(5)
    shard.control(probed(START_MS, ok()))
    assert shard["a"].alive_since_ms == START_MS + 5_000


# -- measured latency --------------------------------------------------------------------------------------------------


def test_the_measured_time_is_its_latency_and_is_scored() -> None:
    shard = probed_shard()
    shard.say()
    shard.probe(ms=450)
    assert (shard["a"].metrics, shard.state(), shard["a"].reason) == (
        {"latency_ms": 450.0},
        "degraded",
        "latency_ms 450 above 200",
    )
    for _ in range(2):
        shard.probe(ms=20)
    assert (shard.state(), shard["a"].metrics) == ("healthy", {"latency_ms": 20.0})


def test_one_that_reports_its_own_latency_is_not_overruled() -> None:
    shard = probed_shard()
    shard.say(latency_ms=12, cpu_percent=20)
    shard.probe(ms=450)
    assert (shard["a"].metrics, shard.state()) == ({"latency_ms": 12.0, "cpu_percent": 20.0}, "healthy")
    shard.say(cpu_percent=20)
    shard.probe(ms=450)
    assert shard.state() == "degraded", "it ceased to report one"


@pytest.mark.parametrize("measured_ms", [450, 20])
def test_heartbeats_with_other_metrics_keep_the_measured_latency(measured_ms: int) -> None:
    shard = probed_shard()
    for _ in range(4):
        for _ in range(5):
            shard.say(after_s=1, interval=1, cpu_percent=20)
        shard.probe(ms=measured_ms)
    for percent in (20, 20, 30):  # known bytes, and known but for the value
        shard.say(after_s=1, interval=1, cpu_percent=percent)
    assert shard["a"].metrics == {"latency_ms": float(measured_ms), "cpu_percent": 30.0}
    assert [state for _, state in shard.path()] == (["healthy", "degraded"] if measured_ms == 450 else ["healthy"])


def test_probed_no_more_the_measured_latency_is_forgotten() -> None:
    shard = probed_shard()
    shard.probe(ms=450)
    shard.register()
    for _ in range(2):
        shard.say(cpu_percent=20)
    assert (shard["a"].metrics, shard.state()) == ({"cpu_percent": 20.0}, "healthy")
