"""Metric families of the client library from plain values, cut into pieces that are soon rendered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Final, TypeVar

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from healthmon.core.measures import Buckets
from healthmon.views.series import SERIES, SPECIFIED, Series

# Samples in one piece: built and rendered in about a millisecond.
PIECE: Final = 128
K = TypeVar("K", bound=tuple[str, ...])
# The values of the labels, in the order of the series' own, and the number.
Value = tuple[Sequence[str], float]


def pieces(name: str, values: Iterable[Value]) -> Iterator[Metric]:
    """One series as pieces of the same name in a row, at least one; values are asked for as each piece is."""
    labels = _of(name).labels
    waiting, metric = iter(values), _empty(name)
    while True:
        for said, number in islice(waiting, PIECE):
            metric.add_sample(name, dict(zip(labels, said, strict=True)), number)
        yield metric
        if len(metric.samples) < PIECE:
            return
        metric = _empty(name)


def histogram(name: str, held: Mapping[K, Buckets]) -> Metric:
    """One histogram, by the values of its labels."""
    metric, series = _empty(name), _of(name)
    for said, buckets in held.items():
        labels = dict(zip(series.labels, said, strict=True))
        bounds = [*map(floatToGoString, buckets.bounds), "+Inf"]
        sums = list(accumulate(buckets.counts))
        for bound, so_far in zip(bounds, sums, strict=True):
            metric.add_sample(f"{name}_bucket", {**labels, "le": bound}, so_far)
        metric.add_sample(f"{name}_sum", labels, buckets.sum)
        metric.add_sample(f"{name}_count", labels, sums[-1])
    return metric


def from_zero(counts: Mapping[K, int], known: Iterable[K]) -> Iterator[Value]:
    """The counts, and zeros for what is known in advance."""
    return ((labels, counts.get(labels, 0)) for labels in dict.fromkeys([*known, *counts]))


def by_word(counts: Mapping[str, int], known: Iterable[str]) -> Iterator[Value]:
    """The counts of one label, and zeros for what is known in advance."""
    return (((word,), counts.get(word, 0)) for word in dict.fromkeys([*known, *counts]))


def _empty(name: str) -> Metric:
    series = _of(name)
    # The library adds `_total` to the name of a counter by itself.
    return Metric(name.removesuffix("_total") if series.kind == "counter" else name, series.says, series.kind)


def _of(name: str) -> Series:
    return SERIES.get(name) or SPECIFIED[name]
