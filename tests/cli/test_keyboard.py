from __future__ import annotations

import pytest

from healthmon.cli.keyboard import keys_of


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("jk", ["j", "k"]),
        ("\x1b[A\x1b[B", ["up", "down"]),
        ("\x1bOAx", ["up", "x"]),
        ("\x1b[5~\x1b[6~q", ["page up", "page down", "q"]),
        ("\x1b", ["escape"]),
        ("\x1b\x1b", ["escape", "escape"]),
        ("\x1bq", ["escape", "q"]),
        ("\x1b[1;5Cq", ["q"]),  # Ctrl and an arrow: means nothing here
        ("\x1b[", []),
        ("ä\r\x7f", ["ä", "enter", "backspace"]),
        ("\x00\x01", []),
    ],
)
def test_the_letters_of_a_terminal_become_keys(text: str, keys: list[str]) -> None:
    assert list(keys_of(text)) == keys
