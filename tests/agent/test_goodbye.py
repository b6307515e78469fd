"""Which ends are goodbyes and which are failures."""

from __future__ import annotations

import asyncio
import sys

import pytest

from healthmon.agent.goodbye import MESSAGE_MAX, fatal_error, last_words

CLEAN = [
    None,
    asyncio.CancelledError(),
    KeyboardInterrupt(),
    GeneratorExit(),
    SystemExit(),
    SystemExit(0),
    BaseExceptionGroup("tasks", [KeyboardInterrupt(), asyncio.CancelledError()]),
]


@pytest.mark.parametrize("error", CLEAN, ids=repr)
def test_a_clean_exit_a_cancellation_and_ctrl_c_are_goodbyes(error: BaseException | None) -> None:
    assert last_words(error) == ("stopping", "")


@pytest.mark.parametrize(
    ("error", "msg"),
    [
        (ValueError("no such model\nand more"), "ValueError: no such model"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit("no licence"), "SystemExit: no licence"),
        (BaseExceptionGroup("tasks", [KeyboardInterrupt(), ExceptionGroup("x", [OSError("gone")])]), "OSError: gone"),
    ],
    ids=repr,
)
def test_an_exception_and_an_exit_code_are_failures_with_their_words(error: BaseException, msg: str) -> None:
    assert last_words(error) == ("failing", msg)


def test_long_and_unspeakable_exceptions_are_told_briefly() -> None:
    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert last_words(UnspeakableError())[1] == "UnspeakableError"
    assert len(last_words(ValueError("x" * 9999))[1]) == MESSAGE_MAX


def test_what_was_survived_at_a_prompt_did_not_end_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ValueError("typed")
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    assert fatal_error() is error
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert fatal_error() is None
