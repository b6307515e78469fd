"""Hypothesis for the core: few examples, always the same ones.

Derandomised, since a rare failure must stop the change that made it and not somebody else's; without a database and a
deadline, since a slow machine says nothing about the core. `HYPOTHESIS_EXAMPLES` asks for a longer search by hand.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "40"))
settings.register_profile(
    "core",
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == 40,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("core")
