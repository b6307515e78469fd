"""How many connections this process may have: each is an open file to the system."""

from __future__ import annotations

import logging
import resource
from typing import Final

# What else is open: Redis, the log, the program itself.
OTHERS: Final = 100
logger = logging.getLogger("healthmon.gateway")


def allow_connections(wanted: int) -> int:
    """Raise this process's limit as far as the system lets it; how many connections there may be, `wanted` at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHERS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        logger.warning("only %d connections, since only %d files may be open: raise `ulimit -n`", most - OTHERS, most)
    return max(1, most - OTHERS)
