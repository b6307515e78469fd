"""What log lines look like, and that nobody else's logging is touched."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest

from healthmon.errors import ConfigurationError
from healthmon.logs import set_up

LOGGER = logging.getLogger("healthmon.monitor")


def test_a_text_line_has_time_level_logger_and_message() -> None:
    stream = io.StringIO()
    set_up("info", "text", stream)
    LOGGER.info("%s: %s -> %s", "j_prime", "healthy", "degraded")
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"{time} INFO healthmon\.monitor: j_prime: healthy -> degraded\n", stream.getvalue())


def test_the_time_of_a_line_is_that_of_its_record_in_utc() -> None:
    stream = io.StringIO()
    set_up("info", "text", stream)
    record = logging.makeLogRecord(
        {"name": "healthmon.x", "levelname": "INFO", "levelno": 20, "msg": "m", "created": 1795462262.114}
    )
    logging.getLogger("healthmon").handle(record)
    assert stream.getvalue() == "2026-11-23T19:31:02.114Z INFO healthmon.x: m\n"


def test_a_message_that_quotes_control_characters_stays_one_harmless_line() -> None:
    stream = io.StringIO()
    set_up("info", "text", stream)
    LOGGER.info("msg is %s", "a\nb\r\x1b[2J\x9b")
    assert stream.getvalue().endswith(r"msg is a\nb\x0d\x1b[2J\x9b" + "\n")
    assert stream.getvalue().count("\n") == 1


def test_a_traceback_follows_its_text_line() -> None:
    stream = io.StringIO()
    set_up("info", "text", stream)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        LOGGER.exception("round failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR healthmon.monitor: round failed")
    assert (rest[0], rest[-1]) == ("Traceback (most recent call last):", "RuntimeError: broken")


def test_a_json_line_has_the_fixed_names_and_the_extra_ones() -> None:
    stream = io.StringIO()
    set_up("info", "json", stream)
    LOGGER.warning("late by %d ms", 12, extra={"component": "j_prime", "lateness_ms": 12, "ts": "mine"})
    line = json.loads(stream.getvalue())
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "healthmon.monitor",
        "message": "late by 12 ms",
        "component": "j_prime",
        "lateness_ms": 12,
    }


def test_a_json_line_carries_its_traceback_as_one_field() -> None:
    stream = io.StringIO()
    set_up("info", "json", stream)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        LOGGER.exception("round failed", stack_info=True)
    line = json.loads(stream.getvalue())
    assert line["exception"].endswith("RuntimeError: broken")
    assert "stack" in line


@pytest.mark.parametrize("value", [float("nan"), {(1, 2): 3}, object()])
def test_extras_that_json_has_no_form_for_still_make_a_valid_line(value: object) -> None:
    stream = io.StringIO()
    set_up("info", "json", stream)
    LOGGER.info("m", extra={"odd": value})
    line = json.loads(stream.getvalue(), parse_constant=pytest.fail)
    assert line["odd"] == str(value)


def test_an_odd_extra_leaves_the_others_as_they_are() -> None:
    stream = io.StringIO()
    set_up("info", "json", stream)
    LOGGER.info("m", extra={"odd": object(), "count": 1})
    assert json.loads(stream.getvalue())["count"] == 1


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    set_up("WARNING", "text", stream)
    LOGGER.info("quiet")
    LOGGER.warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_a_second_set_up_replaces_the_first_and_leaves_other_handlers() -> None:
    mine = logging.NullHandler()
    logging.getLogger("healthmon").addHandler(mine)
    first, second = io.StringIO(), io.StringIO()
    set_up("info", "text", first)
    set_up("info", "text", second)
    LOGGER.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
    assert mine in logging.getLogger("healthmon").handlers


def test_the_root_logger_is_not_touched() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    set_up("debug", "json", io.StringIO())
    assert (list(root.handlers), root.level) == before


def test_a_root_handler_does_not_say_every_line_again(caplog: pytest.LogCaptureFixture) -> None:
    set_up("info", "text", io.StringIO())
    LOGGER.info("once")
    assert caplog.records == []


def test_lines_go_to_stderr_unless_a_stream_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text")
    LOGGER.info("here")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("here\n")


def test_an_unknown_level_or_format_is_refused_with_the_choice() -> None:
    with pytest.raises(
        ConfigurationError, match=r"the log level is 'loud'; give debug, info, warning, error, critical"
    ):
        set_up("loud", "text")
    with pytest.raises(ConfigurationError, match=r"the log format is 'xml'; give text, json"):
        set_up("info", "xml")  # type: ignore[arg-type]  # what a caller without a type checker could do
