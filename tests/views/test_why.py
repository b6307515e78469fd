from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

from healthmon.core.blindness import Blindness
from healthmon.core.component import Component, HealthState, Status
from healthmon.core.event import Event, EventType
from healthmon.core.guard import Brake
from healthmon.core.lease import Lease
from healthmon.core.policy import Defaults, Policy
from healthmon.views.why import Known, explain
from healthmon.views.why_told import why_json, why_lines

NOW = 1_795_462_265_114  # 2026-11-23T19:31:05.114Z
DEFAULTS = Defaults()
LEASE = Lease("mon-a", "1", 1_795_462_100_123)
WAITED_FOR = "nothing: it is waited for; Healthy at its next heartbeat"
HEARD = NOW - 183_002


def component(state: HealthState, rule: str, reason: str, since_ms: int, **said: Any) -> Component:
    policy = Policy()
    made = Component("j_prime", NOW - 3_600_000, policy, policy.limits(DEFAULTS), state=state, since_ms=since_ms)
    made.rule, made.reason, made.last_heartbeat_ms, made.rev, made.epoch = rule, reason, HEARD, 118, LEASE.epoch
    made.host, made.pid = "web-03", "4121"
    for name, value in said.items():
        setattr(made, name, value)
    return made


def changed(source: str, target: str, at_ms: int, rev: int, replica: str = "mon-a") -> Event:
    return Event(EventType.TRANSITION, "j_prime", rev, 1, at_ms, source=source, target=target, replica=replica)


def dead() -> Component:
    reason = "no heartbeat for 180.0 s (dead after 180 s)"
    return component(HealthState.DEAD, "silence", reason, HEARD + 180_000)


DEAD_HISTORY = (
    changed("unhealthy", "dead", HEARD + 180_000, 118),
    changed("degraded", "unhealthy", HEARD + 90_000, 117),
    changed("healthy", "degraded", HEARD + 45_000, 116),
    changed("unknown", "healthy", HEARD - 187_200_000, 115),
)


def lines(known: Known) -> dict[str, str]:
    return dict(why_lines(explain(known), UTC))


def known(one: Component, **more: Any) -> Known:
    return Known(one, NOW, lease=LEASE, **more)


def test_a_dead_component_is_explained_from_its_last_heartbeat_to_who_decided() -> None:
    assert why_lines(explain(known(dead(), history=DEAD_HISTORY)), UTC) == [
        ("", "j_prime is Dead since 19:31:02 (3 s)"),
        ("because", "no heartbeat for 180.0 s (dead after 180 s)"),
        ("last", "19:28:02.112 (3 m 3 s ago) status=ok from web-03 pid 4121"),
        ("before", "Unhealthy 19:29:32 ← Degraded 19:28:47 ← Healthy 2 d 4 h"),
        (
            "next",
            f"{WAITED_FOR}; forgotten at 30 Nov 19:31:02 unless it is heard from",
        ),
        ("decided", "mon-a, epoch 1795462100123, rev 118"),
    ]


def test_a_declared_component_is_never_forgotten_by_itself() -> None:
    assert "forgotten" not in lines(known(replace(dead(), declared=True)))["next"]


def test_what_comes_next_for_a_healthy_one_is_silence_step_by_step() -> None:
    well = component(HealthState.HEALTHY, "heartbeat", "first heartbeat", NOW - 60_000, last_heartbeat_ms=NOW - 5000)
    assert lines(known(well))["next"] == "Degraded at 19:31:45 if no heartbeat comes; Dead at 19:34:00"
    assert [step["state"] for step in why_json(explain(known(well)))["next"]] == ["degraded", "unhealthy", "dead"]


def test_blind_time_is_deducted_from_the_moments_to_come() -> None:
    well = component(HealthState.HEALTHY, "heartbeat", "first heartbeat", NOW - 60_000, last_heartbeat_ms=NOW - 5000)
    blind = Blindness()
    blind.add(NOW - 4000, NOW - 1000)
    answer = explain(known(well, blindness=blind))
    assert (answer.blind_ms, answer.silent_ms) == (3000, 2000)
    assert answer.steps[0].at_ms == NOW - 5000 + 45_000 + 3000


def test_a_moment_that_has_passed_without_a_leader_is_said_to_be_due() -> None:
    silent = component(
        HealthState.HEALTHY, "heartbeat", "first heartbeat", NOW - 90_000, last_heartbeat_ms=NOW - 60_000
    )
    assert lines(Known(silent, NOW))["next"] == ("Degraded is due since 19:30:50, but nobody leads; Dead at 19:33:05")
    assert "nobody leads" not in lines(known(silent))["next"]


def test_a_bad_score_names_its_bounds_and_how_it_clears() -> None:
    slow = component(HealthState.DEGRADED, "score", "latency_ms 450 above 200", NOW - 6000, last_heartbeat_ms=NOW)
    slow.score, slow.metrics = 0.61, {"latency_ms": 450.0}
    told = lines(known(slow))
    assert told["because"] == "latency_ms 450 above 200, score 0.61 (degraded below 0.70, unhealthy below 0.40)"
    assert told["last"].endswith("status=ok latency_ms=450 from web-03 pid 4121")
    assert told["next"].endswith("Healthy after 2 more good heartbeats")
    slow.good_streak = 1
    assert lines(known(slow))["next"].endswith("Healthy after 1 more good heartbeat")


def test_a_component_that_said_goodbye_is_not_waited_for_in_stages() -> None:
    gone = component(HealthState.UNKNOWN, "goodbye", "it said goodbye", NOW - 6000, status=Status.STOPPING)
    told = lines(known(gone))
    assert told["because"] == "it said goodbye"
    assert told["next"] == (f"{WAITED_FOR}; forgotten at 20:30:59 unless it is heard from")


def test_one_that_is_starting_has_its_time_for_it() -> None:
    new = component(HealthState.INITIALIZING, "starting", "it is starting", NOW - 6000, status=Status.STARTING)
    new.starting_ms, new.last_heartbeat_ms = NOW - 6000, NOW - 1000
    steps = explain(known(new)).steps
    assert ("degraded", NOW + 114_000, "if it still says starting") in [(s.state, s.at_ms, s.condition) for s in steps]
    assert ("healthy", 0, "when it says ok") in [(s.state, s.at_ms, s.condition) for s in steps]


def test_a_component_never_heard_from_counts_from_the_end_of_its_start() -> None:
    new = component(HealthState.UNKNOWN, "", "not heard from yet", NOW - 6000, last_heartbeat_ms=0, born_ms=NOW - 6000)
    told = lines(known(new))
    assert told["last"] == "never heard from"
    assert explain(known(new)).steps[0].at_ms == NOW - 6000 + 120_000 + 45_000


def test_one_that_sends_but_is_refused_is_said_to_be_so() -> None:
    refused = {"entry": f"{NOW - 2000}-0", "reason": "too_large", "detail": "the payload is 20000 bytes"}
    one = replace(dead(), refused_heartbeats=3)
    assert lines(known(one, refused=refused))["but"] == (
        "it sends, but is refused: too_large: the payload is 20000 bytes (3 heartbeats so far, the latest 2 s ago)"
    )


def test_a_refusal_long_ago_or_before_a_good_heartbeat_is_no_explanation() -> None:
    one = replace(dead(), refused_heartbeats=3)
    assert "but" not in lines(known(one, refused={"entry": f"{NOW - 91_000}-0", "reason": "bad_id"}))
    one.last_heartbeat_ms = NOW - 1000
    assert "but" not in lines(known(one, refused={"entry": f"{NOW - 2000}-0", "reason": "bad_id"}))


def test_who_decided_is_told_from_history_or_the_lease_and_else_left_open() -> None:
    assert explain(known(dead(), history=DEAD_HISTORY)).decided_by == "mon-a"
    assert explain(Known(dead(), NOW, lease=LEASE)).decided_by == "mon-a"
    assert lines(Known(dead(), NOW))["decided"] == "an earlier leader, epoch 1795462100123, rev 118"


def test_the_time_before_the_oldest_known_change_is_left_open_unless_it_was_the_first() -> None:
    assert lines(known(dead(), history=DEAD_HISTORY[:2]))["before"] == "Unhealthy 19:29:32 ← Degraded"
    first = changed("healthy", "degraded", HEARD + 45_000, 3)
    assert lines(known(dead(), history=(first,)))["before"].startswith("Healthy ")


def test_what_a_component_says_cannot_steer_the_terminal() -> None:
    one = replace(dead(), msg="\x1b[2J", host="\x07host")
    assert "\x1b" not in str(why_lines(explain(known(one)), UTC))
    assert "\x07" not in str(why_lines(explain(known(one)), UTC))


def test_json_has_rfc_3339_times_and_null_for_what_is_not_known() -> None:
    value = why_json(explain(Known(dead(), NOW, history=DEAD_HISTORY)))
    assert value["since"] == "2026-11-23T19:31:02.112Z"
    assert value["before"][2] == {
        "state": "healthy",
        "from": "2026-11-21T15:28:02.112Z",
        "to": "2026-11-23T19:28:47.112Z",
    }
    assert value["refused"] is None
    assert value["next"][-1]["state"] is None


def test_blind_time_is_told_only_where_there_was_any() -> None:
    assert "blind" not in lines(known(dead()))["because"]
    blind = Blindness()
    blind.add(NOW - 100_000, NOW - 98_000)
    assert lines(known(dead(), blindness=blind))["because"].endswith(", blind time 2 s")


def test_metrics_that_nobody_judges_are_told_too_after_those_that_are() -> None:
    one = dead()
    one.metrics = {"queue": 7.0, "latency_ms": 12.5}
    assert "status=ok latency_ms=12.5 queue=7 from web-03" in lines(known(one))["last"]
    one.metrics = {f"m{n}": 1.0 for n in range(20)}
    assert "m11=1 and 8 more from" in lines(known(one))["last"]


def test_one_that_gave_up_says_what_brings_it_back() -> None:
    one = component(HealthState.PERMANENTLY_FAILED, "gave_up", "gave up after 5 of 5 restarts", NOW - 3000)
    told = why_lines(explain(known(one)), UTC)
    assert told[0] == ("", "j_prime gave up at 19:31:02 (3 s ago)")
    assert dict(told)["next"].startswith("nothing by itself: `healthmon revive j_prime` restarts it; Healthy at its")


def test_after_a_restart_it_has_so_long_to_be_heard_from() -> None:
    one = component(HealthState.INITIALIZING, "restart", "restart 1 of 5 succeeded", NOW - 3000)
    one.restart = replace(one.restart, done=1, awaiting_ms=NOW - 3000)
    assert lines(known(one))["next"] == "Dead at 19:33:02 if it is not heard from; Healthy at its first heartbeat"


def test_while_it_flaps_it_says_how_long_a_change_waits() -> None:
    one = component(HealthState.INITIALIZING, "restart", "restart 1 of 5 succeeded", NOW - 3000)
    one.restart = replace(one.restart, done=1, awaiting_ms=NOW - 3000)
    one.flapping = NOW - 60_000
    waits = "; Healthy at its first heartbeat, 10 s after its last change at the soonest"
    assert lines(known(one))["next"] == "Dead at 19:33:02 if it is not heard from" + waits
    one.since_ms = NOW - 10_000
    assert lines(known(one))["next"].endswith("; Healthy at its first heartbeat")


def test_a_mass_failure_puts_deaths_off_and_is_said() -> None:
    silent = component(
        HealthState.HEALTHY, "heartbeat", "first heartbeat", NOW - 90_000, last_heartbeat_ms=NOW - 60_000
    )
    told = lines(known(silent, brake=Brake(NOW - 5000)))
    assert told["next"].endswith("Dead at 19:38:05")
    assert told["brake"] == ("mass failure: deaths by silence and restarts wait, until 19:36:00 (in 4 m 55 s) at most")
    assert "brake" not in lines(known(silent))


def test_what_it_needs_is_told_with_its_states() -> None:
    told = lines(known(dead(), dependencies={"db": "dead", "cache": "healthy", "mq": ""}))
    assert told["needs"] == "db Dead, cache Healthy, mq not known"
    value = why_json(explain(known(dead(), dependencies={"db": "dead", "mq": ""})))
    assert value["dependencies"] == {"db": "dead", "mq": None}


def test_a_dead_one_with_a_restart_method_tells_its_whole_schedule() -> None:
    policy = Policy(restart={"method": "agent", "jitter": False})
    one = replace(dead(), policy=policy, limits=policy.limits(DEFAULTS))
    one.restart = replace(one.restart, next_ms=NOW + 2000)
    one.failure = {"code": 1, "at_ms": NOW - 3000, "lines": "boom"}
    told = lines(known(one, history=DEAD_HISTORY))
    assert told["next"].startswith("restart attempt 1/5 at 19:31:07 (in 2 s); gives up at the earliest 19:3")
    assert told["attempts"].startswith("0 of 5 used, by agent; at the earliest 19:31:07, ")
    assert (told["failure"], told["output"]) == ("19:31:02 (3 s ago): exited with code 1", "boom")
    value = why_json(explain(known(one)))
    assert value["restart"]["next_at"] == "2026-11-23T19:31:07.114Z"
    assert value["failure"]["code"] == 1
    assert value["breaker"]["state"] == "closed"
    assert value["probe"] is None


def test_who_knows_and_until_when_it_is_silenced_are_told_while_that_is_so() -> None:
    silenced = {"silenced_until_ms": NOW + 90_000, "silenced_by": "ann", "silenced_reason": "disk\x1b swap"}
    one = component(HealthState.DEAD, "silence", "no heartbeat", NOW, acknowledged_by="bob", **silenced)
    told = lines(known(one))
    assert told["acknowledged"] == "by bob"
    assert told["silenced"] == "until 19:32:35 (in 1 m 30 s) by ann: disk� swap"
    said = why_json(explain(known(one)))
    assert (said["acknowledged_by"], said["silenced_until"]) == ("bob", "2026-11-23T19:32:35.114Z")
    over = replace(one, silenced_until_ms=NOW, acknowledged_by="")
    assert not {"acknowledged", "silenced"} & lines(known(over)).keys()
    said = why_json(explain(known(over)))
    assert [said[name] for name in ("acknowledged_by", "silenced_until", "silenced_by", "silenced_reason")] == [
        None
    ] * 4
