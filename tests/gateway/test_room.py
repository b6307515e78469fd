from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource
from healthmon.gateway.room import allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, 500))
print(allow_connections({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "wanted", "allowed", "limit"), [(400, 50, 50, 400), (128, 300, 300, 400), (128, 9000, 400, 500)]
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(
    soft: int, wanted: int, allowed: int, limit: int
) -> None:
    script = SCRIPT.format(soft=soft, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(allowed), str(limit)]
    assert ("ulimit -n" in done.stderr) == (allowed < wanted)
