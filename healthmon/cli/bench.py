"""`healthmon bench`: what healthmon costs here and now, each figure beside its floor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import typer

from healthmon.cli.options import Form, Output
from healthmon.cli.output import is_for_people, say, say_all, tell, terminal
from healthmon.errors import ConfigurationError
from healthmon.views.terminal import Cell

if TYPE_CHECKING:
    from healthmon.bench import Row

HEAD: Final = ("WHAT", "OURS", "REFERENCE", "RATIO", "TARGET", "SPECIFICATION", "VERDICT")


def bench(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="SECTION", help="Only this section; may be repeated.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small counts: to see that it works, not to quote.")] = False,
    output: Output = Form.TABLE,
    redis_url: Annotated[
        str | None,
        typer.Option(
            "--url",
            "--redis-url",
            metavar="URL",
            help="A Redis to measure with, instead of a server of its own. Keys of its own prefix come and go there.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure costs, latencies, takeovers and memory, each beside its floor in the same run; under three minutes."""
    from healthmon.bench import FULL, QUICK, SECTIONS, run_bench

    wanted = only or []
    for name in wanted:
        if name not in SECTIONS:
            raise ConfigurationError(f"there is no section {name!r}: there are {', '.join(SECTIONS)}")
    rows = anyio.run(partial(run_bench, QUICK if quick else FULL, url=redis_url, only=wanted, say=tell))
    if is_for_people(output):
        say(_table(rows))
    else:
        say_all(output, [row.to_dict() for row in rows], "what")


def _table(rows: list[Row]) -> list[str]:
    screen = terminal()
    notes = [row.note for row in rows if row.note]
    cells: list[list[Cell | str]] = []
    for row in rows:
        mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
        verdict = Cell(row.verdict, "ok" if row.verdict == "within" else "bad")
        reference = "" if row.reference is None else f"{_figure(row.reference)} {row.unit}, {row.against}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        ours = f"{_figure(row.ours)} {row.unit}"
        cells.append([row.what + mark, ours, reference, ratio, row.target_text, row.said, verdict])
    lines = screen.table(HEAD, cells)
    missed = sum(row.verdict == "misses" for row in rows)
    lines += ["", f"{len(rows) - missed} of {len(rows)} figures are within their targets.", ""]
    return lines + [line for n, note in enumerate(notes, 1) for line in screen.hanging([Cell(f"[{n}]")], note)]


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
