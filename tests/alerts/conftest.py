from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.alerts.receiver import Receiver

Write = Callable[[str], str]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().serving() as serving:
        yield serving


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Makes receivers, each a server of its own."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Receiver().serving())


@pytest.fixture
def alerts_file(tmp_path: Path) -> Write:
    """Writes an alerts file; its path."""

    def write(text: str) -> str:
        path = tmp_path / "alerts.toml"
        path.write_text(text)
        return str(path)

    return write
