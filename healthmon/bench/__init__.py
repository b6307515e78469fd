"""`healthmon bench`: what healthmon costs and how fast it is, each figure beside its floor, measured in one run.

Absolute figures on shared machines mean little. So a cost is a ratio: both sides take turns in the same run, and the
medians are compared. Where nothing could be the other side, the figure stands beside its target alone.
"""

from __future__ import annotations

from healthmon.bench.course import SECTIONS, run_bench
from healthmon.bench.figures import Row
from healthmon.bench.plan import FULL, QUICK, Plan

__all__ = ["FULL", "QUICK", "SECTIONS", "Plan", "Row", "run_bench"]
