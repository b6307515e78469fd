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
        return _layout_of_payload(fields[3])
    names = fields[::2]
    if b"p" in names or b"b" in names or len(set(names)) < len(names):
        return None
    texts = [name.decode("utf-8", "replace") for name in names]
    first = next((place for place, name in enumerate(texts) if _is_metric(name)), len(texts))
    if first == len(texts) or not all(map(_is_metric, texts[first:])):
        return None
    return _plain_layout(first, tuple(names), tuple(map(sys.intern, texts[first:])))


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """A payload `p` that ends in its metrics; the Python helper packs each as a float of eight bytes."""

    names: tuple[str, ...]
    head_bytes: int
    keys: tuple[bytes, ...]
    size: int
    unpack: Callable[[bytes], tuple[Any, ...]]
    place: int = 3

    def values(self, fields: list[bytes], known: list[bytes]) -> tuple[float, ...] | None:
        """The metrics' values, of any number, or None when more than they differs from the known entry."""
        if len(fields) != 4 or fields[2] != b"p" or fields[0] != b"id":
            return None
        payload = fields[3]
        if not payload.startswith(known[3][: self.head_bytes]):
            return None
        if len(payload) == self.size:
            parts = self.unpack(payload)
            if parts[1::2] == self.keys:
                return parts[2::2]
        return self._values_of_map(payload)

    def _values_of_map(self, payload: bytes) -> tuple[float, ...] | None:
        """Whole numbers take fewer bytes, so that nothing stands at its place."""
        try:
            metrics = msgpack.unpackb(_FIXMAPS[len(self.names)] + payload[self.head_bytes :], raw=False)
        except (ValueError, msgpack.UnpackException):
            return None
        if tuple(metrics) != self.names or not all(type(value) in (float, int) for value in metrics.values()):
            return None
        return tuple(map(float, metrics.values()))


@dataclass(frozen=True, slots=True)
class PlainLayout:
    """Plain text fields that end in the metrics, as redis-cli and clients without msgpack send them."""

    names: tuple[str, ...]
    place: int
    length: int
    raw_names: list[bytes]

    def values(self, fields: list[bytes], known: list[bytes]) -> tuple[float, ...] | None:
        """The metrics' values, of any number, or None when more than they differs from the known entry."""
        at = self.place
        if len(fields) != self.length or fields[at::2] != self.raw_names or fields[:at] != known[:at]:
            return None
        texts = fields[at + 1 :: 2]
        if sum(map(len, texts)) > _NUMBERS_BYTES_MAX:
            return None
        try:
            return tuple(map(float, texts))
        except ValueError:
            return None


def _layout_of_payload(payload: bytes) -> PackedLayout | None:
    said: dict[str, Any] = msgpack.unpackb(payload, raw=False, strict_map_key=False, unicode_errors="replace")
    names = tuple(name for name in said if isinstance(name, str) and _is_metric(name))
    if not names or len(said) > FIXMAP_MAX or tuple(said)[-len(names) :] != names:
        return None
    tail = b"".join(_packed(name) + _packed(said[name]) for name in names)
    return _packed_layout(len(payload) - len(tail), names) if payload.endswith(tail) else None


@lru_cache(maxsize=1024)
def _packed_layout(head_bytes: int, names: tuple[str, ...]) -> PackedLayout:
    keys = tuple(_packed(name) + _FLOAT for name in names)
    struct = Struct(f">{head_bytes}s" + "".join(f"{len(key)}sd" for key in keys))
    return PackedLayout(tuple(map(sys.intern, names)), head_bytes, keys, struct.size, struct.unpack)


@lru_cache(maxsize=1024)
def _plain_layout(first: int, raw_names: tuple[bytes, ...], names: tuple[str, ...]) -> PlainLayout:
    return PlainLayout(names, 2 * first, 2 * len(raw_names), list(raw_names[first:]))


def _packed(value: object) -> bytes:
    data: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="replace")
    return data


def _is_metric(name: str) -> bool:
    return name in STANDARD_METRICS or name.startswith(CUSTOM)
