"""`python -m healthmon.bench.replica`: one replica, as `healthmon monitor` runs it, with settings from its parent."""

from __future__ import annotations

from healthmon.bench.child import orders
from healthmon.logs import set_up
from healthmon.run import run_monitor
from healthmon.settings import load_settings


def main() -> None:
    """Run until SIGTERM or the parent's end."""
    settings = load_settings(**orders())
    set_up(settings.log_level, settings.log_format)
    run_monitor(settings)


if __name__ == "__main__":
    main()
