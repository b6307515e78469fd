"""A verifier of ownership that a program plugs in: what it may answer, and when it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from healthmon.monitor.agreements import Agreements
from healthmon.monitor_api.verification import Verification

pytestmark = pytest.mark.anyio


async def asked(agreements: Agreements) -> str:
    assert agreements.verifier is not None
    return await agreements.verifier("c")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", ""),
        (True, ""),
        ("alice works on it", "alice works on it"),
        (False, "the ownership verifier refused"),
        (None, "the ownership verifier returned NoneType; text or a truth value says whether it agrees"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_text_and_truth_values_agree_or_give_the_reason(answer: Any, reason: str, is_async: bool) -> None:
    async def verify(component_id: str) -> Any:
        return verify_at_once(component_id)

    def verify_at_once(component_id: str) -> Any:
        assert component_id == "c"
        return answer

    agreements, verification = Agreements(), Verification()
    verification.join(agreements)
    verification.plug(verify if is_async else verify_at_once)
    assert await asked(agreements) == reason


async def test_without_one_the_replica_asks_whom_it_asked_before_also_after_another_start() -> None:
    async def own(component_id: str) -> str:
        return f"the owner of {component_id} refuses"

    verification = Verification()
    verification.plug(lambda _: "plugged in before the start")
    for _ in range(2):
        agreements = Agreements(own)
        verification.join(agreements)
        assert await asked(agreements) == "plugged in before the start"
    verification.plug(None)
    assert await asked(agreements) == "the owner of c refuses"
