from __future__ import annotations

import pytest

from tests.gateway.conftest import Serve

pytestmark = pytest.mark.anyio


async def test_the_specification_s_body_is_a_heartbeat(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        answer = await gateway.post({"component_id": "j_prime", "metrics": {"memory_mb": 456.2, "sessions": 3}})
        assert answer.status_code == 200
        (beat,) = await gateway.stored()
        assert (beat.id, beat.metrics) == ("j_prime", {"memory_mb": 456.2, "m.sessions": 3})
        assert answer.json()["entry"].endswith("-0")
