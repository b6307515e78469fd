"""The compose file: every command in it is one that healthmon takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = [
    json.loads(found)
    for found in re.findall(r"^\s+command: (\[.*\])$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
]


def test_the_file_has_commands() -> None:
    assert sorted({words[0] for words in COMMANDS if words[0] in ("beat", "monitor")}) == ["beat", "monitor"]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "beat"], ids=" ".join)
def test_a_demo_component_would_beat(words: list[str], url: str) -> None:
    once = words[: words.index("--every")]
    program = [sys.executable, "-m", "healthmon", *once, "--redis-url", url]
    said = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)
    assert (said.returncode, said.stderr) == (0, "")
