"""What serves HTTP, as processes: `gateway`, `monitor --http`, and the token that opens them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from healthmon.core.access import Access, Grant, Scope, read_tokens
from tests.cli.conftest import ROOT, Command, wait
from tests.cli.fleet import Fleet


class Program:
    """A process that serves HTTP on a free port."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.log = folder / f"{words[0]}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "healthmon", *words], stderr=log, cwd=ROOT, env={**os.environ, **environment}
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def url(self) -> str:
        """Where it serves, once it does."""
        wait(lambda: re.search(r"serving (http\S+)", self.text))
        found = re.search(r"serving (http\S+)", self.text)
        assert found
        return found[1]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def start(*words: str, **environment: str) -> Program:
        started.append(Program(tmp_path, *words, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def send(address: str, path: str, **options: str) -> httpx.Response:
    return httpx.get(f"{address}{path}", timeout=20, headers=options)


@pytest.mark.story
def test_a_gateway_takes_heartbeats_with_no_leader_and_ends_cleanly(
    fleet: Fleet, program: Callable[..., Program], healthmon: Command
) -> None:
    gateway = program("gateway", "--port", "0", "--replica-id", "gate")
    answer = send(gateway.url(), "/beat/nightly")
    assert (answer.status_code, fleet.do("XLEN", fleet.keys.heartbeats) > 0) == (200, True)
    assert fleet.do("GET", fleet.keys.leader) is None
    said = healthmon("cluster", "-o", "json").out
    assert [one["role"] for one in json.loads(said)["replicas"]] == ["gateway"]
    assert "no replica runs" in healthmon("doctor").out, "it watches nobody"
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(10) == 0
    assert "Traceback" not in gateway.text
    assert fleet.do("ZCARD", fleet.keys.monitors) == 0


@pytest.mark.story
def test_a_monitor_serves_too_and_the_heartbeat_registers_the_component(
    fleet: Fleet, program: Callable[..., Program]
) -> None:
    monitor = program("monitor", "--http", "127.0.0.1:0", "--replica-id", "mon")
    assert send(monitor.url(), "/beat/nightly?role=cron").status_code == 200
    wait(lambda: fleet.do("HGET", fleet.keys.component("nightly"), "role") == b"cron")
    monitor.process.send_signal(signal.SIGINT)
    assert monitor.process.wait(10) == 0
    assert "Traceback" not in monitor.text


@pytest.mark.story
def test_a_made_token_opens_the_gateway_for_what_it_is_for(
    at: str, program: Callable[..., Program], healthmon: Command, tmp_path: Path
) -> None:
    made = healthmon("token", "--name", "cron", "--components", "night*")
    token = made.err.split()[-1]
    (tmp_path / "tokens.toml").write_text(made.out)
    gateway = program("gateway", "--port", "0", HEALTH_TOKENS_FILE=str(tmp_path / "tokens.toml"))
    address, bearer = gateway.url(), f"Bearer {token}"
    assert send(address, "/beat/nightly").status_code == 401
    assert send(address, "/beat/nightly", Authorization=bearer).status_code == 200
    assert send(address, "/beat/daily", Authorization=bearer).status_code == 403
    assert token not in gateway.text


@pytest.mark.parametrize(
    ("words", "environment", "complaint"),
    [
        (("gateway", "--host", "192.0.2.1"), {}, "HEALTH_HTTP_HOST is 192.0.2.1, which others reach, and there is no"),
        (("gateway",), {"HEALTH_TOKEN": "secret"}, "HEALTH_TOKEN has fewer than 16 characters"),
        (("gateway",), {"HEALTH_HTTP_TLS_CERT": "a"}, "HEALTH_HTTP_TLS_CERT (a) needs HEALTH_HTTP_TLS_KEY"),
        (("gateway",), {"HEALTH_HTTP_CORS": "*"}, "HEALTH_HTTP_CORS has '*', which is no origin"),
        (("monitor", "--http", "8787"), {}, "--http is '8787': give HOST:PORT, such as 127.0.0.1:8787"),
        (("monitor", "--http", "127.0.0.1:x"), {}, "--http is '127.0.0.1:x': give HOST:PORT"),
        (("monitor", "--http", "127.0.0.1:70000"), {}, "http_port is 70000, above 65535"),
    ],
)
def test_what_can_t_be_served_is_refused_before_anything_starts(
    at: str,
    healthmon: Command,
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: tuple[str, ...],
    environment: dict[str, str],
    complaint: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = healthmon(*words)
    assert said.code == 2
    assert said.err.startswith(f"healthmon: {complaint}")
    assert "secret" not in said.err


def test_without_the_packages_one_sentence_says_what_to_install(at: str) -> None:
    script = """
import sys
for name in ("starlette", "uvicorn"):
    sys.modules[name] = None
from healthmon.cli.app import main
sys.exit(main(["gateway", "--port", "0"]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "healthmon: serving HTTP needs the package starlette: pip install 'healthmon[gateway]'"
    )


def test_help_and_a_plain_monitor_load_nothing_of_it() -> None:
    script = "import sys; import healthmon.cli.monitor, healthmon.run, healthmon.up.start; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "'starlette'" not in loaded
    assert "'uvicorn'" not in loaded


# -- token -----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_its_hash_goes_to_the_file(healthmon: Command) -> None:
    said = healthmon("token", "--name", "ci", "--scope", "read", "--scope", "write", "--components", "j_*")
    token = said.err.strip().rpartition(" ")[2]
    assert said.err == f"healthmon: the token ci, shown this once: {token}\n"
    assert token not in said.out
    grant = Access(read_tokens(tomllib.loads(said.out), "f")).grant_of(token)
    assert grant == Grant("ci", frozenset({Scope.READ, Scope.WRITE}), ("j_*",))


def test_tokens_may_be_added_to_one_file_one_after_another(healthmon: Command) -> None:
    both = healthmon("token").out + healthmon("token").out
    first, second = read_tokens(tomllib.loads(both), "f")
    assert first.grant.name != second.grant.name
    assert first.grant.scopes == {Scope.WRITE}


def test_a_token_for_a_program_is_one_object(healthmon: Command) -> None:
    said = json.loads(healthmon("token", "--name", "ci", "-o", "json").out)
    assert said.keys() == {"token", "name", "hash", "scope", "components"}
    assert healthmon("token", "-o", "name").out.startswith("hm_")


def test_a_token_for_a_name_that_is_none_is_refused(healthmon: Command) -> None:
    said = healthmon("token", "--name", "two words")
    assert said.code == 2
    assert "has no usable name" in said.err
