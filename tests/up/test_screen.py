"""The lines on the screen of `up`."""

from __future__ import annotations

import logging
import re

import pytest

from healthmon.store.keys import Keys
from healthmon.store.reading import StreamEntry
from healthmon.up.advice import Advice, heading
from healthmon.up.household import how_ended, pause_s, read_log
from healthmon.up.screen import Screen, logged_to
from healthmon.views.terminal import Terminal

TRANSITION = {
    "type": "transition",
    "id": "worker-1",
    "from": "degraded",
    "to": "unhealthy",
    "reason": "no heartbeat for 4.0 s (unhealthy after 4 s)",
    "at": "2026-11-23T19:31:02.114Z",
}


def told(capsys: pytest.CaptureFixture[str], terminal: Terminal, **fields: str) -> str:
    Screen(terminal).tell(StreamEntry("1795462262114-0", fields), {"mon-1": 4711})
    line = capsys.readouterr().out
    assert line.endswith("\n")
    return line[:-1]


def test_a_transition_is_one_line_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    line = told(capsys, Terminal(), **TRANSITION)
    assert line[8:] == " #  worker-1     Degraded -> Unhealthy: no heartbeat for 4.0 s (unhealthy after 4 s)"


def test_a_line_that_is_too_long_loses_the_brackets_first(capsys: pytest.CaptureFixture[str]) -> None:
    line = told(capsys, Terminal(width=80), **TRANSITION)
    assert line.endswith("Unhealthy: no heartbeat for 4.0 s")
    line = told(capsys, Terminal(width=80), **TRANSITION | {"reason": "it says failing: " + "word " * 20})
    assert 75 < len(line) <= 80
    assert line.endswith(" word...")


def test_states_are_told_by_the_words_of_every_other_surface(capsys: pytest.CaptureFixture[str]) -> None:
    line = told(capsys, Terminal(unicode=True), **TRANSITION | {"from": "initializing", "to": "permanently_failed"})
    assert " ⊘ worker-1     Starting → Gave up: " in line
    line = told(capsys, Terminal(), **TRANSITION | {"from": "initializing", "to": "permanently_failed"})
    assert " !! worker-1     Starting -> Gave up: " in line


def test_what_is_no_transition_is_told_by_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    line = told(capsys, Terminal(), type="breaker", id="db", rule="open", reason="5 failures in a row")
    assert line[8:] == " -  db           breaker open: 5 failures in a row"
    line = told(capsys, Terminal(), type="restart", id="db", rule="taken", reason="restart 1 taken by mon-1")
    assert line.endswith("db           restart 1 taken by mon-1")


def test_a_terminal_is_as_wide_as_it_is_by_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    screen, event = (
        Screen(),
        StreamEntry("1795462262114-0", TRANSITION | {"reason": "it says failing: " + "word " * 20}),
    )
    for columns in (60, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        screen.tell(event, {})
    narrow, wide = capsys.readouterr().out.splitlines()
    assert len(_bare(narrow)) <= 60 < len(_bare(wide)) <= 120


def _bare(line: str) -> str:
    return re.sub("\x1b\\[[0-9;]*m", "", line)


def test_a_new_leader_is_told_with_its_pid(capsys: pytest.CaptureFixture[str]) -> None:
    line = told(capsys, Terminal(), type="leader", replica="mon-1", epoch="7", reason="no replica held the lease")
    assert line[8:] == " -  mon-1        leads (pid 4711): no replica held the lease"


def test_what_this_process_complains_of_is_a_line_like_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    with logged_to(Screen(Terminal())):
        logging.getLogger("healthmon.agent").warning("orders can't be read: %s", "Redis is away")
        logging.getLogger("healthmon.agent").info("not this")
    logging.getLogger("healthmon.agent").warning("nor this")
    (line,) = capsys.readouterr().out.splitlines()
    assert line[8:] == " !  up           warning: orders can't be read: Redis is away"


def test_what_strangers_wrote_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    line = told(capsys, Terminal(), **TRANSITION | {"id": "a\x1b[2J", "reason": "b\nc"})
    assert line.isprintable()


def test_every_line_at_the_start_fits_80_columns() -> None:
    assert len(heading("redis://127.0.0.1:65535/0", 16, 12)[0]) <= 80
    advice = Advice("redis://127.0.0.1:65535/0", Keys(), "healthmon", left=True)
    for components in ((), ("j_prime",)):
        lines = advice.to_try("mon-1", {"mon-1": 4_194_304, "worker-1": 4_194_303}, components)
        assert max(len(line) for line in lines) <= 80
        assert any(re.search("kill -9 4194304  # mon-1 +another one leads", line) for line in lines)
        assert any(re.search("kill -9 4194303  # worker-1 +it comes back by itself", line) for line in lines)
        assert any("redis-cli -p 65535 HGETALL 'healthmon:{0}:counts'" in line for line in lines)


def test_the_only_replica_is_followed_by_itself() -> None:
    advice = Advice("redis://127.0.0.1:65535/0", Keys(), "healthmon", left=True, replicas=1)
    lines = advice.to_try("mon-1", {"mon-1": 7}, ())
    assert any(re.search("kill -9 7  # mon-1 +it comes back, and leads", line) for line in lines)


def test_nobody_is_advised_to_kill_what_does_not_run() -> None:
    advice = Advice("redis://127.0.0.1:65535/0", Keys(), "healthmon", left=True)
    assert "kill" not in "\n".join(advice.to_try("", {}, ()))


def test_advice_names_the_server_where_it_would_not_be_found() -> None:
    url = "redis://127.0.0.1:7001/0"
    lines = Advice(url, Keys(), "healthmon", left=False).to_try("mon-1", {"mon-1": 1}, ())
    assert f"  healthmon status --redis-url {url}" in "\n".join(lines)


def test_a_child_that_ends_at_once_is_started_again_ever_more_slowly() -> None:
    pauses = [pause_s(quick) for quick in range(100)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(pauses) == 30.0


def test_an_exit_code_is_told_as_what_happened() -> None:
    assert how_ended(-9) == "was ended by SIGKILL (kill -9)"
    assert how_ended(-15) == "was ended by SIGTERM"
    assert how_ended(3) == "ended with exit code 3"
    assert how_ended(-250) == "was ended by signal 250"


@pytest.mark.parametrize(
    ("line", "serious", "text"),
    [
        ('{"level": "WARNING", "message": "slow"}', True, "warning: slow"),
        ('{"level": "INFO", "message": "leading"}', False, "leading"),
        (
            '{"level": "ERROR", "message": "bad", "exception": "Traceback\\n  x\\nValueError: y"}',
            True,
            "error: bad (ValueError: y)",
        ),
        ("Traceback (most recent call last):", True, "Traceback (most recent call last):"),
        ("[1]", True, "[1]"),
        ('{"level": 3}', True, '{"level": 3}'),
    ],
)
def test_what_a_child_writes_is_a_log_line_or_taken_as_it_is(line: str, serious: bool, text: str) -> None:
    assert read_log(line) == (serious, text)
