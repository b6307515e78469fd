"""`healthmon completion`: what real shells complete with the scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Command
from tests.cli.fleet import Fleet
from tests.cli.test_app import ALL
from tests.pseudo_terminal import PseudoTerminal

BASH = """
source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; COMP_WORDS=(); COMP_CWORD=0
_healthmon 2>&1
for each in "${COMPREPLY[@]}"; do echo "$each"; done
"""
LINES: list[tuple[str, list[str]]] = [
    ("healthmon wh", ["why"]),
    ("healthmon ", [*ALL, "--help", "--version"]),
    ("healthmon ls --st", ["--state"]),
    ("healthmon ls --state d", ["dead", "degraded"]),
    ("healthmon ls --state dead,he", ["dead,healthy"]),
    ("healthmon ls -o js", ["json", "jsonl"]),
    ("healthmon ls x", []),
    ("healthmon wait api-1 --for d", ["dead", "degraded", "deleted"]),
    ("healthmon why api-", ["api-1", "api-2"]),
    ("healthmon restart api-1 wor", ["worker@web-01"]),
    ("healthmon events --id api-2", ["api-2"]),
    ("healthmon completion ", ["bash", "zsh", "fish"]),
]


@pytest.fixture
def ids(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Three components, and `healthmon` on the PATH."""
    fleet.beat("api-1", "api-2", "worker@web-01", interval=300)
    fleet.store()
    program = tmp_path / "bin" / "healthmon"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m healthmon "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return fleet


def script(healthmon: Command, shell: str, folder: Path) -> str:
    said = healthmon("completion", shell)
    assert said.code == 0
    (folder / shell).write_text(said.out)
    return str(folder / shell)


def told(*words: str) -> list[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.usefixtures("ids")
@pytest.mark.needs("bash")
def test_bash_completes_commands_options_states_and_ids(healthmon: Command, tmp_path: Path) -> None:
    place = script(healthmon, "bash", tmp_path)
    for line, words in LINES:
        assert sorted(told("bash", "--norc", "-c", BASH, "bash", place, line)) == sorted(words), line
    assert told("bash", "--norc", "-c", BASH, "bash", place, "healthmon ls --output=js") == ["json", "jsonl"]
    assert told("bash", "--norc", "-c", BASH, "bash", place, "healthmon why worker@w") == ["web-01"]
    (tmp_path / "a fleet.toml").touch()
    assert told("bash", "--norc", "-c", BASH, "bash", place, f"healthmon apply {tmp_path}/a") == [
        f"{tmp_path}/a fleet.toml"
    ]
    assert "bash" in told("bash", "--norc", "-c", BASH, "bash", place, "healthmon run --id x -- bas")


@pytest.mark.usefixtures("ids")
@pytest.mark.needs("bash")
def test_a_tab_in_a_real_bash_completes_the_word(healthmon: Command, tmp_path: Path) -> None:
    place = script(healthmon, "bash", tmp_path)
    with PseudoTerminal(["bash", "--norc", "--noprofile"], PS1="> ") as shell:
        shell.type(f"source {place}; clear\r")
        shell.shows(">")
        shell.type("healthmon why wor\t")
        shell.shows("healthmon why worker@web-01")


@pytest.mark.usefixtures("ids")
@pytest.mark.needs("fish")
def test_fish_completes_the_same(healthmon: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    place = script(healthmon, "fish", tmp_path)
    for line, words in LINES:
        found = told("fish", "--no-config", "-c", f'source {place}; complete -C "{line}"')
        expected = [one for one in words if not one.startswith("--")] if line == "healthmon " else words
        assert sorted(each.partition("\t")[0] for each in found) == sorted(expected), line


@pytest.mark.usefixtures("ids")
@pytest.mark.needs("zsh")
def test_zsh_completes_the_same(healthmon: Command, tmp_path: Path) -> None:
    place = script(healthmon, "zsh", tmp_path)
    with PseudoTerminal(["zsh", "-f"], PS1="> ", HOME=str(tmp_path)) as shell:
        shell.type(f"autoload -U compinit; compinit -u -D; source {place}; clear\r")
        for typed, whole in (
            ("healthmon wh\t", "healthmon why"),
            ("why wor\t", "why worker@web-01"),
            ("ls --state dead,he\t", "ls --state dead,healthy"),
            ("ls --output=w\t", "ls --output=wide"),
            ("run --id x -- unam\t", "run --id x -- uname"),
        ):
            shell.type("\x15" + (typed if typed.startswith("healthmon") else f"healthmon {typed}"))
            shell.shows(whole)


@pytest.mark.usefixtures("at")
def test_ids_are_nothing_when_redis_is_away_whatever_the_reason(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert healthmon("completion", "--ids", "").out == ""
    for url in ("redis://127.0.0.1:1/0", "nonsense://", "embedded:///nowhere/at/all"):
        monkeypatch.setenv("HEALTH_REDIS_URL", url)
        said = healthmon("completion", "--ids", "a")
        assert (said.code, said.out, said.err) == (0, "", "")
    monkeypatch.setenv("HEALTH_DEAD_TRESHOLD", "5")
    assert (healthmon("completion", "--ids", "a").out, healthmon("completion", "--ids", "a").err) == ("", "")


def test_a_shell_must_be_named(healthmon: Command) -> None:
    assert healthmon("completion").err == "healthmon: completion takes the name of a shell: bash, zsh, fish\n"
    assert healthmon("completion").code == healthmon("completion", "tcsh").code == 2
