"""`python -m healthmon.up JSON`: `run_up` with its arguments as one JSON object, for programs that start it."""

from __future__ import annotations

import json
import sys

from healthmon.errors import HealthmonError
from healthmon.up import run_up

if __name__ == "__main__":
    try:
        sys.exit(run_up(**json.loads(sys.argv[1] if sys.argv[1:] else "{}")))
    except HealthmonError as error:
        print(f"healthmon: {error}", file=sys.stderr)  # noqa: T201  # what a command line does
        sys.exit(error.exit_code)
