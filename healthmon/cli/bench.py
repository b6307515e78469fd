"""`healthmon bench`: what healthmon costs and how fast it is here, each figure beside its floor, as a table."""

from __future__ import annotations

from typing import Annotated, Final

import anyio
import typer

from healthmon.bench import FULL, QUICK, SECTIONS, Row, run_bench
from healthmon.cli.options import Form, Output
from healthmon.cli.output import is_for_people, say, say_all, tell, terminal
from healthmon.errors import ConfigurationError

_HEAD: Final = ("FIGURE", "OURS", "REFERENCE", "RATIO", "TARGET", "", "SPECIFICATION")


def bench(
    sections: Annotated[list[str] | None, typer.Argument(metavar="[SECTION]...", help=", ".join(SECTIONS))] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A little of everything: to see that it runs.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="A Redis to use instead of one of its own.")
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Measure what healthmon costs: ratios to a floor measured in the same run. Takes under three minutes."""
    for section in sections or ():
        if section not in SECTIONS:
            raise ConfigurationError(f"there is no section {section}: there are {', '.join(SECTIONS)}")

    async def measured() -> list[Row]:
        return await run_bench(QUICK if quick else FULL, url=url, only=sections or (), say=tell)

    rows = anyio.run(measured)
    if not is_for_people(output):
        say_all(output, [row.to_dict() for row in rows], "what")
        return
    screen = terminal()
    say(screen.table(_HEAD, [_cells(row) for row in rows]))
    notes = [f"{row.what}: {row.note}" for row in rows if row.note]
    say(["", *(screen.plain(note) for note in notes)] if notes else [])


def _cells(row: Row) -> tuple[str, ...]:
    ratio = row.ratio
    return (
        row.what,
        f"{row.ours:.3g} {row.unit}",
        f"{row.reference:.3g} {row.against}" if row.reference is not None else "",
        f"{ratio:.2f} x" if ratio is not None else "",
        row.target_text,
        row.verdict,
        row.said,
    )
