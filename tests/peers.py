"""Programs that nobody here wrote and some tests talk to: a browser, Prometheus, clients in other languages.

`@pytest.mark.needs("promtool")` runs a test where that program is. Elsewhere it is skipped, and the end of the run says
so aloud. `scripts/peers` gets them all.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent
NODE_MODULES = ROOT / ".peers" / "node_modules"
PACKAGES = ("ws", "redis", "axe-core")


def is_there(peer: str) -> bool:
    """Whether a program is on the PATH, or one of the PACKAGES of Node is installed beside the repository."""
    if peer in PACKAGES:
        return shutil.which("node") is not None and (NODE_MODULES / peer).is_dir()
    return shutil.which(peer) is not None
