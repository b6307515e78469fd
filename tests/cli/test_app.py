from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio
import pytest

from healthmon import __version__
from healthmon.cli.app import COMMANDS
from healthmon.errors import StoreUnavailable
from tests.cli.conftest import ROOT, Command
from tests.cli.fleet import Fleet
from tests.waiting import eventually

ALL = [name for commands in COMMANDS.values() for name in commands]


def test_the_overview_lists_every_command_with_what_it_does(healthmon: Command) -> None:
    for words in ((), ("--help",), ("-h",), ("help",)):
        said = healthmon(*words)
        assert said.code == 0
        for commands in COMMANDS.values():
            for name, says in commands.items():
                assert f"  {name:<13}  {says}" in said.lines


@pytest.mark.parametrize("name", ALL)
def test_every_command_explains_itself(healthmon: Command, name: str) -> None:
    said = healthmon(name, "--help")
    assert said.code == 0
    assert said.lines[0].startswith(f"Usage: healthmon {name} [OPTIONS]")


def test_the_version_is_told(healthmon: Command) -> None:
    assert healthmon("--version").out == f"healthmon {__version__}\n"


def test_an_unknown_command_or_option_is_a_usage_error_with_the_nearest_one(healthmon: Command) -> None:
    said = healthmon("stats")
    assert (said.code, said.out) == (2, "")
    assert said.err == "healthmon: there is no command 'stats'; did you mean status?\n"
    assert healthmon("--colour").code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ls", "--sate", "dead"), "ls has no option --sate; did you mean --state?"),
        (("ls", "--colour"), "ls has no option --colour; `healthmon ls --help` tells more"),
        (
            ("ls", "-o", "xml"),
            "--output: 'xml' is not one of 'table', 'wide', 'json', 'jsonl', 'name'; `healthmon ls --help`",
        ),
        (("ls", "--limit", "many"), "--limit must be a valid integer; `healthmon ls --help` tells more"),
        (("ls", "--limit", "-1"), "--limit must be greater than or equal to 0; `healthmon ls --help` tells more"),
        (("ls", "--limit"), "--limit takes a value, which is missing; `healthmon ls --help` tells more"),
        (("why",), "ID is missing; `healthmon why --help` tells more"),
        (
            ("export",),
            "WHAT is missing: prometheus-rules, grafana, systemd, compose, metrics; `healthmon export --help`",
        ),
        (("step-down", "now"), "there is no place for 'now'; `healthmon step-down --help` tells more"),
    ],
)
def test_wrong_arguments_are_one_sentence_that_names_the_fix(
    healthmon: Command, words: tuple[str, ...], says: str
) -> None:
    said = healthmon(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"healthmon: {says}")
    assert said.err.count("\n") == 1


def test_help_with_a_command_is_the_help_of_that_command(healthmon: Command) -> None:
    assert healthmon("help", "ls") == healthmon("ls", "--help")
    assert healthmon("help", "lss").err == "healthmon: there is no command 'lss'; did you mean ls?\n"


def test_an_unreachable_redis_is_one_sentence_and_exit_code_5(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    for words in (("status",), ("ls", "-o", "json"), ("why", "x"), ("events", "-o", "jsonl"), ("cluster",)):
        said = healthmon(*words)
        assert said.code == StoreUnavailable.exit_code == 5
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert "Redis is not reachable" in said.err
        assert "secret" not in said.err


def test_a_wrong_setting_is_a_usage_error(healthmon: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_DEAD_TRESHOLD", "200")
    said = healthmon("status")
    assert said.code == 2
    assert said.err == "healthmon: HEALTH_DEAD_TRESHOLD is no setting; did you mean HEALTH_DEAD_THRESHOLD?\n"


@pytest.mark.usefixtures("at")
def test_a_foreign_health_name_is_a_message_beside_the_data(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_OF_THE_NATION", "1")
    said = healthmon("ls", "-o", "json")
    assert (said.code, said.out) == (0, "[]\n")
    assert "HEALTH_OF_THE_NATION" in said.err


def test_help_costs_little_more_than_python_itself() -> None:
    def took_s(*words: str) -> float:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        begun_s = perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=ROOT, env=environment)
        return perf_counter() - begun_s

    took_s("-m", "healthmon", "--help")
    floor, ours = ([took_s(*words) for _ in range(7)] for words in (("-c", "pass"), ("-m", "healthmon", "--help")))
    assert median(ours) < 6 * median(floor)


def test_help_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; from healthmon.cli.app import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    loaded = {name.partition(".")[0] for name in ast.literal_eval(told.stderr)}
    assert not loaded & {"typer", "redis", "pydantic", "anyio", "rich", "tenacity", "msgpack", "psutil"}


def test_a_pipe_that_nobody_reads_ends_the_command_quietly(fleet: Fleet) -> None:
    for n in range(300):
        fleet.beat(f"component-{n}-{'x' * 60}")
    fleet.store()
    command = f"{sys.executable} -m healthmon ls --limit 0 -o json"
    told = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert told.stdout.splitlines() == ["[", "141"]
    assert told.stderr == ""


def test_an_interrupted_command_ends_with_130_and_says_how_to_go_on(fleet: Fleet, tmp_path: Path) -> None:
    fleet.beat("api-1")
    fleet.store()
    words = [sys.executable, "-m", "healthmon", "events", "-f"]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(words, stdout=out, stderr=err, cwd=ROOT)
        try:
            anyio.run(eventually, lambda: "Healthy" in (tmp_path / "out").read_text(), 10.0)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        finally:
            process.kill()
    told = (tmp_path / "err").read_text()
    assert "go on later with --since" in told
    assert "Traceback" not in told
