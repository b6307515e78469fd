"""The compose file: every command in it is one that healthmon takes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from healthmon.core.policy import Defaults, read_policy
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent
COMMANDS = [
    json.loads(found)
    for found in re.findall(r"^\s+command: (\[.*\])$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
]


def test_the_file_has_commands() -> None:
    assert {words[0] for words in COMMANDS} == {"valkey-server", "beat", "gateway", "monitor", "run"}


@pytest.mark.needs("docker-compose")
def test_compose_takes_the_file() -> None:
    subprocess.run(["docker-compose", "config", "-q"], cwd=ROOT, check=True, capture_output=True, timeout=30)


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "gateway"], ids=" ".join)
def test_the_page_is_served_beyond_loopback_with_a_token_only(words: list[str], url: str) -> None:
    program = [sys.executable, "-m", "healthmon", *words, "--port", "0", "--redis-url", url]
    said = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)
    assert said.returncode != 0
    assert "HEALTH_TOKEN" in said.stderr


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "beat"], ids=" ".join)
def test_a_demo_component_would_beat(words: list[str], url: str) -> None:
    once = words[: words.index("--every")]
    program = [sys.executable, "-m", "healthmon", *once, "--redis-url", url]
    said = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)
    assert (said.returncode, said.stderr) == (0, "")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-m", "healthmon", *words], start_new_session=True))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.wait()


@pytest.mark.anyio
@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "run"], ids=" ".join)
async def test_a_demo_program_would_run_and_be_registered_for_restarts(
    words: list[str], url: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    running = start("run", "--redis-url", url, *words[1:])
    async with open_raw(url, name="test") as client:

        async def registered() -> dict[str, str]:
            entries = await call(client, "XRANGE", Keys().control, "-", "+")
            return next((said for _, raw in entries if (said := text_map(raw)).get("cmd") == "register"), {})

        said = await eventually(registered, 20)
    assert said["id"] == words[words.index("--id") + 1]
    assert read_policy(said["policy"], Defaults()).restarts
    running.terminate()
    await eventually(lambda: running.poll() is not None, 20)
    assert running.returncode == 128 + signal.SIGTERM, "it ends with the program's code"
