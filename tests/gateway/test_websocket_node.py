"""Heartbeats from Node, by the package `ws`, as one who reads only the documentation would send them."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from healthmon.core.access import hash_of
from tests.door import serving
from tests.peers import NODE_MODULES
from tests.talking import LATE_S
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.needs("node", "ws")]
TOKEN = "node-0123456789abcdef"

# Says all that it sends and hears, one JSON line each.
SCRIPT = """
const WebSocket = require("ws");
const [url, token] = process.argv.slice(1);
const tell = (what) => console.log(JSON.stringify(what));
function open(options, protocols = []) {
  const socket = new WebSocket(url, protocols, options);
  socket.on("message", (data) => tell(JSON.parse(data)));
  socket.on("close", (code, reason) => tell({ closed: code, reason: String(reason) }));
  socket.on("unexpected-response", (_, response) => tell({ status: response.statusCode }));
  socket.on("error", () => {});
  return socket;
}
const say = (socket, what) => socket.on("open", () => socket.send(JSON.stringify(what)));
say(open({ headers: { Authorization: `Bearer ${token}` } }), { type: "heartbeat", component_id: "by_header" });
say(open({}, ["healthmon", `bearer.${token}`]), [{ component_id: "by_protocol", timestamp: Date.now() / 1000 }]);
const late = open({ perMessageDeflate: true });
say(late, { type: "auth", token });
late.once("message", () => late.send(JSON.stringify({ component_id: "by_message", metrics: { latency_ms: 3 } })));
open({ headers: { Authorization: "Bearer nobody-0123456789" } });
"""


async def test_node_sends_heartbeats_with_each_way_to_show_a_token_and_is_closed_with_1001(
    url: str, prefix: str, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[[token]]\nname = "node"\nhash = "{hash_of(TOKEN)}"\nscope = ["write"]\n')
    told: list[object] = []

    async def listen(output: TextReceiveStream) -> None:
        async with aclosing(output):
            async for text in output:
                told.extend(json.loads(line) for line in text.splitlines())

    def acked() -> set[str]:
        answers = [one for said in told for one in (said if isinstance(said, list) else [said])]
        return {one["component_id"] for one in answers if isinstance(one, dict) and one.get("type") == "ack"}

    async with serving(url, prefix, tokens_file=tokens) as gateway, anyio.create_task_group() as group:
        command = ["node", "-e", SCRIPT, gateway.base, TOKEN]
        environment = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
        async with await anyio.open_process(command, env=environment, stderr=None) as node:
            assert node.stdout is not None
            group.start_soon(listen, TextReceiveStream(node.stdout))
            await eventually(lambda: acked() == {"by_header", "by_protocol", "by_message"}, LATE_S)
            await eventually(lambda: {"status": 401} in told, LATE_S)
            assert {"type": "authenticated", "name": "node"} in told
            gateway.stop.cancel()
            closed = {"closed": 1001, "reason": "this gateway stops: connect again"}
            await eventually(lambda: told.count(closed) == 3, LATE_S)
            with anyio.fail_after(LATE_S):
                assert await node.wait() == 0
        assert {beat.id for beat in await gateway.stored()} == acked()
