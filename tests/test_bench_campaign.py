"""The campaign: what it finds is judged rightly, and a short one keeps its targets."""

from __future__ import annotations

import random

import anyio
import pytest

from healthmon.bench.campaign import (
    FAULTS_EACH,
    KINDS,
    Campaign,
    Fault,
    Findings,
    Outcome,
    draw,
    main,
    run_campaign,
)


def outcome(*, noticed: bool = True, healed: bool = True) -> Outcome:
    return Outcome(Fault("a", "crash"), noticed, healed, 100)


@pytest.mark.parametrize(
    ("findings", "kept"),
    [
        (Findings([outcome()] * 200), True),
        (Findings([outcome()] * 198 + [outcome(healed=False)] * 2), True),
        (Findings([outcome()] * 197 + [outcome(healed=False)] * 3), False),
        (Findings([outcome()] * 200, ["a: no heartbeat for 3.0 s"]), False),
        (Findings([outcome()] * 199 + [outcome(noticed=False)]), False),
        (Findings(), False),
    ],
    ids=["all healed", "99 %", "98.5 %", "a false death", "a fault that nobody noticed", "nothing done"],
)
def test_the_targets_are_kept_when_enough_heal_nobody_dies_falsely_and_every_fault_was_one(
    findings: Findings, *, kept: bool
) -> None:
    assert findings.kept is kept


def test_the_same_seed_draws_the_same_faults_evenly_and_nobody_gets_too_many() -> None:
    company = [f"c-{number}" for number in range(25)]
    faults, again = (draw(company, 50, random.Random(7)) for _ in range(2))
    assert faults == again
    kinds = [fault.kind for fault in faults]
    assert max(map(kinds.count, KINDS)) - min(map(kinds.count, KINDS)) <= 1
    assert {sum(fault.component == one for fault in faults) for one in company} == {FAULTS_EACH}
    assert len({fault.component for fault in faults[:25]}) == 25


def test_what_was_found_is_printed_also_where_nothing_healed() -> None:
    lines = "\n".join(Findings([outcome(healed=False)], ["a: no heartbeat for 3.0 s"]).lines())
    assert "healed without a person: 0 of 1, 0.0%" in lines
    assert "false deaths: 1" in lines
    assert "  a: no heartbeat for 3.0 s" in lines


def test_a_campaign_of_no_faults_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--faults", "0"])
    assert refused.value.code == 2
    assert "at least one fault" in capsys.readouterr().err


@pytest.mark.timing
@pytest.mark.story
def test_a_short_campaign_heals_without_a_person_and_without_a_false_death() -> None:
    findings = anyio.run(run_campaign, Campaign(faults=20, company=15))
    print("\n".join(findings.lines()))
    assert len(findings.outcomes) == 20
    assert findings.kept, list(findings.lines())
