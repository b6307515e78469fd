"""The composition root: settings -> objects -> one task group. The only place that wires."""

from __future__ import annotations

from healthmon.run.replica import defaults_of, make_replica, run_monitor

__all__ = ["defaults_of", "make_replica", "run_monitor"]
