"""Where the metrics stand in an entry whose other bytes are known, so that only they are read of the next one.

Most heartbeats of a component differ from the one before in the values of its metrics alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any, Final

import msgpack

from healthmon.core.component import Layout
from healthmon.core.heartbeat import CUSTOM, PAYLOAD_MAX, STANDARD_METRICS

# A msgpack map of up to 15 names begins with one byte that holds their number.
FIXMAP_MAX: Final = 15
_FIXMAPS: Final = tuple(bytes((0x80 | count,)) for count in range(FIXMAP_MAX + 1))
_FLOAT: Final = b"\xcb"  # the eight bytes of a float follow
# Numbers as text or as msgpack may be of any length; so much of an entry's limit is left to all of them.
_NUMBERS_BYTES_MAX: Final = 512


def layout_of(fields: list[bytes]) -> Layout | None:
    """The layout of an entry that was read without a complaint; None where its metrics don't come last."""
    if fields[0] != b"id" or len(fields) % 2 or sum(map(len, fields)) > PAYLOAD_MAX - _NUMBERS_BYTES_MAX:
        return None
    if len(fields) == 4 and fields[2] == b"p":
        return _packed_layout(fields[3])
    names = fields[::2]
    if b"p" in names or b"b" in names or len(set(names)) < len(names):
        return None
    texts = [name.decode("utf-8", "replace") for name in names]
    first = next((place for place, name in enumerate(texts) if _is_metric(name)), len(texts))
    if first == len(texts) or not all(map(_is_metric, texts[first:])):
        return None
    return PlainLayout(fields[: 2 * first + 1], fields[2 * first :: 2], tuple(texts[first:]))


class PackedLayout:
    """A payload `p` that ends in its metrics; the Python helper packs each as a float of eight bytes."""

    __slots__ = ("_fixed", "_head_bytes", "_shape")
    place = 3

    def __init__(self, head: bytes, names: tuple[str, ...]) -> None:
        self._shape = shape = _shape(len(head), names)
        self._head_bytes = len(head)
        self._fixed = (head + shape.keys[0], *shape.keys[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, in their order."""
        return self._shape.names

    def values(self, fields: list[bytes]) -> tuple[float, ...] | None:
        """The metrics' values, of any number, or None when more than they has changed."""
        if len(fields) != 4 or fields[2] != b"p" or fields[0] != b"id":
            return None
        payload, shape = fields[3], self._shape
        if len(payload) == shape.size:
            parts = shape.unpack(payload)
            if parts[::2] == self._fixed:
                return parts[1::2]
        return self._values_of_map(payload)

    def _values_of_map(self, payload: bytes) -> tuple[float, ...] | None:
        """Whole numbers take fewer bytes, so that nothing stands at its place."""
        if not payload.startswith(self._fixed[0][: self._head_bytes]):
            return None
        try:
            metrics = msgpack.unpackb(_FIXMAPS[len(self.names)] + payload[self._head_bytes :], raw=False)
        except (ValueError, msgpack.UnpackException):
            return None
        if tuple(metrics) != self.names or not all(type(value) in (float, int) for value in metrics.values()):
            return None
        return tuple(map(float, metrics.values()))


class PlainLayout:
    """Plain text fields that end in the metrics, as redis-cli and clients without msgpack send them."""

    __slots__ = ("_head", "_length", "_names", "names", "place")

    def __init__(self, head: list[bytes], raw_names: list[bytes], names: tuple[str, ...]) -> None:
        self.names = names
        self._head = head[:-1]
        self._names = raw_names
        self.place = len(head) - 1
        self._length = len(self._head) + 2 * len(raw_names)

    def values(self, fields: list[bytes]) -> tuple[float, ...] | None:
        """The metrics' values, of any number, or None when more than they has changed."""
        at = self.place
        if len(fields) != self._length or fields[:at] != self._head or fields[at::2] != self._names:
            return None
        texts = fields[at + 1 :: 2]
        if sum(map(len, texts)) > _NUMBERS_BYTES_MAX:
            return None
        try:
            return tuple(map(float, texts))
        except ValueError:
            return None


def _packed_layout(payload: bytes) -> PackedLayout | None:
    said: dict[str, Any] = msgpack.unpackb(payload, raw=False, strict_map_key=False, unicode_errors="replace")
    names = tuple(name for name in said if isinstance(name, str) and _is_metric(name))
    if not names or len(said) > FIXMAP_MAX or tuple(said)[-len(names) :] != names:
        return None
    tail = b"".join(_packed(name) + _packed(said[name]) for name in names)
    return PackedLayout(payload[: -len(tail)], names) if payload.endswith(tail) else None


def _packed(value: object) -> bytes:
    data: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="replace")
    return data


def _is_metric(name: str) -> bool:
    return name in STANDARD_METRICS or name.startswith(CUSTOM)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What payloads whose beginnings are of one length, with the same metrics after them, have in common."""

    names: tuple[str, ...]
    keys: tuple[bytes, ...]
    size: int
    unpack: Callable[[bytes], tuple[Any, ...]]


@lru_cache(maxsize=1024)
def _shape(head_bytes: int, names: tuple[str, ...]) -> _Shape:
    keys = tuple(_packed(name) + _FLOAT for name in names)
    struct = Struct(f">{head_bytes + len(keys[0])}sd" + "".join(f"{len(key)}sd" for key in keys[1:]))
    return _Shape(tuple(map(sys.intern, names)), keys, struct.size, struct.unpack)
