"""Why a sink did not take a message."""

from __future__ import annotations


class Undelivered(Exception):
    """The sink did not take it, in one sentence without secrets. `hopeless`: the same message will never be taken."""

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless
