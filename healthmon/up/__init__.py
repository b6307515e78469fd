"""`healthmon up`: a real server, replicas and, in the demo, components, as processes of one household."""

from __future__ import annotations

from healthmon.up.start import run_up

__all__ = ["run_up"]
