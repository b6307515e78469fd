"""`healthmon export`: the files that let Prometheus, Grafana, systemd and compose know of healthmon."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from healthmon.cli.output import tell
from healthmon.errors import ConfigurationError
from healthmon.views.exporting import EXPORTS, Wanted


class Export(StrEnum):
    """What can be exported."""

    PROMETHEUS_RULES = "prometheus-rules"
    GRAFANA = "grafana"
    SYSTEMD = "systemd"
    COMPOSE = "compose"
    METRICS = "metrics"


def export(
    what: Annotated[Export, typer.Argument(metavar="WHAT", help=f"One of {', '.join(EXPORTS)}.", show_default=False)],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write files into this folder, instead of printing.")
    ] = None,
    runbooks: Annotated[
        str, typer.Option(metavar="URL", help="Where the alerts' runbooks are to be read.")
    ] = "docs/runbooks.md",
) -> None:
    """Print alerting rules, a dashboard, unit files, a compose file, or the reference of all metrics."""
    wanted = Wanted(executable=shutil.which("healthmon") or "/usr/local/bin/healthmon", runbooks=runbooks)
    files = EXPORTS[what](wanted)
    for name, text in files.items():
        if to is None:
            print(f"# {name}\n{text}" if len(files) > 1 else text, end="")
            continue
        try:
            to.mkdir(parents=True, exist_ok=True)
            (to / name).write_text(text, "utf-8")
        except OSError as error:
            raise ConfigurationError(f"{to / name} can't be written ({error.strerror}): give another --to") from None
        tell(f"wrote {to / name}")
