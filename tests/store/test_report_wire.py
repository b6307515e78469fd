"""Evidence in the control stream both ways: packed results of probes, and recorded failures."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthmon.core.heartbeat import PAYLOAD_MAX, Unreadable
from healthmon.core.reports import OUTCOMES, FailureReport, ProbeReport
from healthmon.store.report_wire import DETAIL_MAX, pack_probes, read_reports

FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
ids = st.from_regex(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,100}", fullmatch=True)
details = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=DETAIL_MAX)
results = st.builds(
    ProbeReport,
    ids,
    st.integers(0, 2**52),
    st.sampled_from(OUTCOMES),
    st.floats(0, 1e6).map(lambda ms: round(ms, 3)),
    details,
)


def entry(payload: bytes) -> list[bytes]:
    return [b"cmd", b"report", b"kind", b"probe", b"p", payload]


def failure(**said: bytes) -> list[bytes]:
    return [
        b"cmd",
        b"report",
        b"kind",
        b"failure",
        *(part for pair in said.items() for part in (pair[0].encode(), pair[1])),
    ]


@FEW
@given(st.lists(results, max_size=400))
def test_what_is_packed_is_read_back_in_order_and_every_entry_is_small_enough(reports: list[ProbeReport]) -> None:
    packed = pack_probes(reports)
    assert [one for payload in packed for one in read_reports(entry(payload)) or ()] == reports
    assert all(sum(map(len, entry(payload))) <= PAYLOAD_MAX for payload in packed)
    assert bool(packed) is bool(reports)


def test_many_results_are_split_over_as_few_entries_as_hold_them() -> None:
    reports = [ProbeReport(f"component-{number}", 3, "failed", 5000.0, "x" * DETAIL_MAX) for number in range(1000)]
    packed = pack_probes(reports)
    assert all(len(payload) > PAYLOAD_MAX - 600 for payload in packed[:-1])
    assert sum(len(read_reports(entry(payload)) or ()) for payload in packed) == 1000


def test_a_long_detail_is_cut_and_the_time_is_to_the_microsecond() -> None:
    (payload,) = pack_probes([ProbeReport("a", 0, "ok", 1.23456789, "é" * 1000)])
    assert read_reports(entry(payload)) == [ProbeReport("a", 0, "ok", 1.235, "é" * DETAIL_MAX)]


def test_what_is_no_evidence_is_left_to_the_leader() -> None:
    for fields in (
        [],
        [b"cmd", b"hold", b"id", b"a"],
        [b"cmd", b"report", b"kind", b"exit", b"id", b"a"],
        [b"cmd", b"report", b"kind", b"restart", b"id", b"a"],
        [b"cmd", b"report", b"kind", b"gossip"],
        [b"cmd", b"report"],
        [b"kind", b"probe", b"p", b"\xc1"],
        [b"cmd", b"report", b"kind", b"\xff\xfe"],
    ):
        assert read_reports(fields) is None


def test_a_recorded_failure_needs_an_id_and_may_say_why() -> None:
    assert read_reports(failure(id=b"a", detail=b"500")) == [FailureReport("a", "500")]
    assert read_reports(failure(id=b"a")) == [FailureReport("a", "")]
    assert read_reports(failure(id=b"a", detail=b"caf\xe9\x1b[0m")) == [FailureReport("a", "caf��[0m")]
    (long,) = read_reports(failure(id=b"a", detail=b"x" * 9_000)) or ()
    assert isinstance(long, FailureReport)
    assert len(long.detail) == 512
    for bad, reason in ((failure(), "no_id"), (failure(id=b"../a"), "bad_id"), (failure(id=b"\xff"), "bad_id")):
        with pytest.raises(Unreadable) as refused:
            read_reports(bad)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    "one",
    [
        *(None, 1, "a", [], ["a"], {"id": "a"}, ["a", 0, "ok", 1.0], ["a", 0, "ok", 1.0, "x", "y"]),
        *(["a", 0, "fine", 1.0, ""], ["a", -1, "ok", 1.0, ""], ["a", 2**53, "ok", 1.0, ""], ["a", 1.5, "ok", 1.0, ""]),
        *(["a", 0, "ok", -1.0, ""], ["a", 0, "ok", float("nan"), ""], ["a", 0, "ok", float("inf"), ""]),
        *(["a", 0, "ok", 1.0, None], [b"a", 0, "ok", 1.0, ""], ["../a", 0, "ok", 1.0, ""], ["", 0, "ok", 1.0, ""]),
        *(["a", True, "ok", 1.0, ""], ["a", 0, "ok", True, ""], ["a", 0, "ok", 1e12, ""]),
    ],
)
def test_one_bad_result_refuses_the_entry_with_a_counted_reason(one: Any) -> None:
    with pytest.raises(Unreadable) as refused:
        read_reports(entry(msgpack.packb([["b", 0, "ok", 1.0, ""], one])))
    assert refused.value.reason in ("bad_report", "bad_id", "no_id")
    assert refused.value.detail.isprintable()


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", b"\x01", b"\x93\x01", msgpack.packb("x" * 20_000)])
def test_bytes_that_are_no_list_of_results_are_refused(payload: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        read_reports(entry(payload))
    assert refused.value.reason in ("bad_report", "too_large")


@FEW
@given(st.binary(max_size=60))
def test_whatever_the_bytes_they_are_results_or_unreadable(payload: bytes) -> None:
    try:
        reports = read_reports(entry(payload))
    except Unreadable:
        return
    assert reports is not None
    assert all(isinstance(one, ProbeReport) for one in reports)
