"""Self-healing health monitoring for fleets of components, on Redis."""

from __future__ import annotations

__version__ = "0.1.0"
