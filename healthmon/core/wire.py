"""How entries of the streams are read, as the table sees it; the wire format itself is the store's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from healthmon.core.component import Layout
    from healthmon.core.heartbeat import Heartbeat, Unreadable
    from healthmon.core.reports import Report


class Wire(Protocol):
    """Bytes there, values here. All raise Unreadable where nothing of an entry can be read."""

    def decode(self, fields: list[bytes]) -> list[Heartbeat | Unreadable]:
        """The heartbeats of one entry, and of several in one why some can't be read."""

    def layout(self, fields: list[bytes]) -> Layout | None:
        """Where the metrics stand in an entry that was read, None where that can't be told."""

    def reports(self, fields: list[bytes]) -> Sequence[Report] | None:
        """The evidence of an entry of the control stream; None when it is a command."""
