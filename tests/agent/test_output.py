from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.agent.output import LINES_MAX, TEXT_BYTES_MAX, Output, bounded

pytestmark = pytest.mark.anyio


@pytest.fixture
def _nowhere() -> Iterator[None]:
    """Standard output leads nowhere for a while: what is passed on is of no interest."""
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    yield
    os.dup2(kept, 1)
    os.close(kept)
    os.close(null)


@pytest.mark.usefixtures("_nowhere")
async def test_the_last_lines_are_the_same_however_the_output_is_cut() -> None:
    output = Output()
    text = b"".join(b"line %d\n" % n for n in range(100)) + b"begun"
    for size in (1, 7, 100, len(text)):
        output.begin()
        for at in range(0, len(text), size):
            os.write(output.out, text[at : at + size])
            await output.settled(5)
        assert output.lines() == [*(f"line {n}" for n in range(81, 100)), "begun"], size


@pytest.mark.usefixtures("_nowhere")
async def test_a_line_is_watched_for_across_the_cuts() -> None:
    output = Output()
    seen = output.watch_for(re.compile("^listening on [0-9]+$"))
    for part in (b"not listening on 80\nlisten", b"ing on ", b"8"):
        os.write(output.err, part)
        await output.settled(5)
    await seen.wait()
    assert not output.watched


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=512), max_size=20))
def test_the_text_of_the_lines_is_bounded_and_holds_the_last_of_them(lines: list[str]) -> None:
    text = bounded(lines)
    assert len(text.encode()) <= TEXT_BYTES_MAX
    kept = text.split("\n") if text or lines else []
    assert kept == lines[len(lines) - len(kept) :] or len("\n".join(lines).encode()) > TEXT_BYTES_MAX
    assert len(kept) <= LINES_MAX
    assert not lines or kept[-1] == lines[-1]
