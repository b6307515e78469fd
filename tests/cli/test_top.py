"""`healthmon top` on a real terminal of 80 columns and 24 lines, as a person sees it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from tests.cli.conftest import Command
from tests.cli.fleet import Fleet
from tests.pseudo_terminal import PseudoTerminal
from tests.servers import FreshServer
from tests.waiting import eventually

TOP = (sys.executable, "-m", "healthmon", "top")
Open = Callable[..., PseudoTerminal]


@pytest.fixture
def busy(fleet: Fleet) -> Fleet:
    """One dead, one degraded, and more healthy ones than a screen holds."""
    healthy = [f"api-{n:02}" for n in range(30)]
    fleet.beat("j_prime", interval=10, host="web-03", role="jarvis_prime")
    fleet.passes(200, beating=healthy, role="api", interval=100)
    fleet.beat("worker-7", role="batch", latency_ms=450, interval=30)
    fleet.store()
    fleet.announce("mon-a", role="leader")
    return fleet


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens `top` with some arguments; all are closed with the test, and none may have wrapped or scrolled."""
    made: list[PseudoTerminal] = []

    def start(*words: str, **given: object) -> PseudoTerminal:
        made.append(PseudoTerminal([*TOP, *words], **given))  # type: ignore[arg-type]  # size and environment
        return made[-1]

    yield start
    for one in made:
        one.__exit__(None, None, None)
        assert not one.screen.spills


def end(terminal: PseudoTerminal, key: str = "q") -> int:
    """Quit, and see that everything is as it was before."""
    terminal.type(key)
    return ended(terminal)


def ended(terminal: PseudoTerminal) -> int:
    code = terminal.ends()
    assert terminal.settings == terminal.before
    assert terminal.screen.cursor
    return code


@pytest.mark.usefixtures("busy")
def test_the_screen_says_what_is_wrong_which_since_when_why_what_comes_next_and_who_watches(opened: Open) -> None:
    top = opened()
    lines = top.shows("q quit", "4 m ago").splitlines()
    assert lines[0].startswith("healthmon")
    assert "mon-a leads for " in lines[0]
    assert " · live " in lines[0]
    assert lines[1:3] == ["2 of 32 components need attention", "  ✖ 1 Dead   ▲ 1 Degraded   ✔ 30 Healthy"]
    assert lines[5].split() == ["STATE", "ID", "ROLE", "FOR", "LAST", "BEAT"]
    assert lines[6].split()[:5] == ["▸", "✖", "Dead", "j_prime", "jarvis_prime"]
    assert lines[7].strip() == "no heartbeat for 180.0 s (dead after 180 s)"
    assert lines[8].split()[:4] == ["▲", "Degraded", "worker-7", "batch"]
    assert lines[9].strip() == "latency_ms 450 above 200"
    assert lines[10].split()[:4] == ["✔", "Healthy", "api-00", "api"]
    assert any(line.startswith("Roles   jarvis_prime 1 ✖   batch 1 ▲   api 30 ✔") for line in lines)
    assert any(line.startswith("Recent  ") for line in lines)
    assert top.settings != top.before
    assert end(top) == 0
    assert top.screen.colours >= {"31", "33", "32"}


def test_what_happens_is_seen_at_once(opened: Open, busy: Fleet) -> None:
    top = opened("--interval", "60")
    top.shows("2 of 32 components need attention")
    busy.becomes("api-07", "unhealthy", "it says failing: no disk")
    top.shows("3 of 32 components need attention", "◆ Unhealthy   api-07", "no disk")
    assert end(top) == 0


@pytest.mark.usefixtures("busy")
def test_without_utf_8_and_colour_it_says_the_same_in_ascii(opened: Open) -> None:
    top = opened(LC_ALL="C", NO_COLOR="1")
    text = top.shows("X  Dead", "~  Degraded", "+  Healthy", "q quit")
    assert text.isascii()
    assert end(top) == 0
    assert not top.screen.colours & {"31", "32", "33", "34", "90"}


@pytest.mark.usefixtures("busy")
def test_keys_move_filter_search_and_ask_why(opened: Open) -> None:
    top = opened()
    top.shows("▸ ✖ Dead")
    top.type("j")
    top.shows("▸ ▲ Degraded")
    top.type("\x1b[Ak\r")
    top.shows("✖ j_prime is Dead since", "because", "decided", "Esc back")
    top.type("j")
    top.shows("▲ worker-7 is Degraded since")
    top.type("\x1b")
    top.shows("▸ ▲ Degraded    worker-7")
    top.type("f")
    top.shows("only problems: 1-2 of 2 among 32")
    top.shows_no("✔ Healthy")
    top.type("f/role:apx\x7fi\r")
    top.shows("search role:api: 1-", "of 30 among 32")
    top.type("G")
    top.shows("▸ ✔ Healthy     api-29")
    top.type("/\x15colour:red\r")
    top.shows("search: colour:red_", "there is no search key")
    top.type("\x1b\x1b")
    top.shows("The worst first, all: 1-")
    assert end(top) == 0


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("size", [(40, 10), (200, 60), (20, 4), (112, 24)])
def test_it_fits_the_terminal_also_when_that_changes(opened: Open, size: tuple[int, int]) -> None:
    top = opened()
    top.shows("q quit")
    top.resize(*size)
    top.shows("Dead", "q quit"[: size[0]])
    top.resize(80, 24)
    top.shows("q quit", "Recent")
    assert end(top) == 0


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
def test_a_signal_gives_the_terminal_back(opened: Open, number: signal.Signals, code: int) -> None:
    top = opened()
    top.shows("q quit")
    top.process.send_signal(number)
    assert ended(top) == code
    assert "Traceback" not in top.text


@pytest.mark.usefixtures("busy")
def test_ctrl_c_gives_the_terminal_back(opened: Open) -> None:
    top = opened()
    top.shows("q quit")
    assert end(top, "\x03") == 130


@pytest.mark.usefixtures("busy")
def test_while_it_is_stopped_the_terminal_is_the_shell_s(opened: Open) -> None:
    top = opened()
    top.shows("q quit")
    top.type("\x1a")  # Ctrl-Z
    anyio.run(eventually, lambda: psutil.Process(top.process.pid).status() == psutil.STATUS_STOPPED, 10.0)
    anyio.run(eventually, lambda: not top.screen.alternate and top.screen.cursor, 10.0)
    assert top.settings == top.before
    top.process.send_signal(signal.SIGCONT)
    top.shows("q quit", "2 of 32 components need attention")
    assert end(top) == 0


def test_redis_may_go_and_come_back(
    opened: Open, fresh_server: Callable[..., FreshServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fresh_server(directory=tmp_path / "data", keep=True)
    monkeypatch.setenv("HEALTH_REDIS_URL", anyio.run(server.start))
    fleet = Fleet(server.url, "healthmon")
    fleet.beat("api-1", interval=300)
    fleet.store()
    top = opened("--interval", "0.2")
    top.shows("the one component is healthy", "live")
    anyio.run(server.stop)
    top.shows("Redis unreachable for ", "(as of ", "✔ Healthy")
    anyio.run(server.start)
    top.shows("live", "the one component is healthy")
    top.shows_no("as of")
    fleet.becomes("api-1", "degraded", "it says degraded: slow")
    top.shows("1 of 1 component needs attention", "it says degraded: slow")
    assert end(top) == 0


def test_a_server_that_does_not_answer_is_told_from_one_that_is_gone(
    opened: Open, fresh_server: Callable[..., FreshServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fresh_server()
    monkeypatch.setenv("HEALTH_REDIS_URL", anyio.run(server.start))
    fleet = Fleet(server.url, "healthmon")
    fleet.beat("api-1", interval=300)
    fleet.store()
    top = opened("--interval", "0.2")
    top.shows("live")
    server.freeze()
    top.shows("Reconnecting… data is ", "(as of ")
    server.thaw()
    top.shows("live")
    assert end(top) == 0


def test_without_a_leader_it_says_that_states_are_frozen(opened: Open, fleet: Fleet) -> None:
    fleet.beat("api-1", interval=300)
    fleet.store(led=False)
    top = opened()
    top.shows("No leader for ", ": states below are frozen", "api-1")
    assert end(top) == 0


@pytest.mark.usefixtures("busy")
def test_in_a_pipe_it_is_one_plain_screen(healthmon: Command) -> None:
    said = healthmon("top")
    assert said.code == 0
    assert said.err == ""
    assert "\x1b" not in said.out
    assert said.lines[1] == "2 of 32 components need attention"
    assert "no heartbeat for 180.0 s (dead after 180 s)" in said.out
    assert len([line for line in said.lines if line.startswith("  ✔ Healthy     api-")]) == 30
    found = healthmon("top", "-l", "role:batch", "--problems").out
    assert "worker-7" in found
    assert "j_prime " not in found.partition("Roles")[0]
    assert healthmon("top", "-l", "nothing-like-it").out.count("nothing found among 32 components") == 1


@pytest.mark.usefixtures("busy")
def test_a_terminal_that_can_do_nothing_gets_the_plain_screen(opened: Open) -> None:
    top = opened(TERM="dumb", size=(120, 60))
    assert top.process.wait(15) == 0
    assert not top.screen.alternate


def test_of_nothing_it_says_how_to_begin(healthmon: Command, at: str) -> None:
    said = healthmon("top")
    assert said.code == 0
    assert "no components yet" in said.out


def test_when_redis_is_away_from_the_start_it_ends_as_every_command_does(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://127.0.0.1:1/0")
    assert healthmon("top").code == 5
    assert healthmon("top", "-l", "colour:red").code == 2


def test_a_standard_input_that_is_no_terminal_leaves_it_without_keys(fleet: Fleet) -> None:
    fleet.beat("api-1", interval=300)
    fleet.store()
    with PseudoTerminal(["sh", "-c", f"{sys.executable} -m healthmon top </dev/null"]) as top:
        top.shows("api-1", "live")
        os.killpg(top.process.pid, signal.SIGTERM)
        top.process.wait(10)
