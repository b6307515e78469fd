"""How to send a heartbeat as a given component, and what to ask Redis about it: lines to be copied. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healthmon.store.keys import Keys


def lines_for_sending(keys: Keys, component_id: str, address: str, *, token: bool) -> dict[str, str]:
    """By channel, a heartbeat of this component. `address`: of this server, as the viewer reached it.

    `token`: whether one has to be shown; the lines take it from HEALTH_TOKEN.
    """
    bearer = ' -H "Authorization: Bearer $HEALTH_TOKEN"' if token else ""
    body = f'{{"component_id": "{component_id}", "metrics": {{"latency_ms": 12.5}}}}'
    node = f"client.xAdd('{keys.heartbeats}', '*', {{ id: '{component_id}', latency_ms: '12.5' }})"
    return {
        "redis-cli": f"redis-cli XADD '{keys.heartbeats}' '*' id {component_id} latency_ms 12.5",
        "curl": f"curl -fsS {address}/health/heartbeat{bearer} -H 'Content-Type: application/json' -d '{body}'",
        "shell": f"curl -fsS -m 10{bearer} {address}/beat/{component_id}",
        "python": (
            "from healthmon import HeartbeatHelper\n\n"
            f'with HeartbeatHelper("{component_id}"):\n'
            "    ...  # it beats until here, with the metrics of this process"
        ),
        "node": (
            "import { createClient } from 'redis'\n\n"
            "const client = await createClient({ url: process.env.HEALTH_REDIS_URL }).connect()\n"
            f"setInterval(() => {node}, 10_000)"
        ),
    }


def lines_for_redis(keys: Keys, component_id: str) -> list[str]:
    """What `redis-cli` shows of this component."""
    return [
        f"redis-cli -3 HGETALL '{keys.component(component_id)}'",
        f"redis-cli HMGET '{keys.component(component_id)}' state since reason",
        f"redis-cli ZSCORE '{keys.components}' {component_id}",
        f"redis-cli XREVRANGE '{keys.history(component_id)}' + - COUNT 5",
        f"redis-cli XADD '{keys.control}' '*' cmd reset-breaker id {component_id} by me",
    ]
