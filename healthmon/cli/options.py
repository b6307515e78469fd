"""Options that several commands share, spelt once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Form(StrEnum):
    """The forms of output. The form never changes what is found, nor the exit code."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    NAME = "name"


Output = Annotated[
    Form,
    typer.Option("-o", "--output", help="Form of the output."),
]
RedisUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The Redis that holds everything, instead of HEALTH_REDIS_URL."),
]
Prefix = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What every key begins with, instead of HEALTH_PREFIX."),
]
ComponentId = Annotated[str, typer.Argument(metavar="ID", help="Id of the component.", show_default=False)]
ComponentIds = Annotated[list[str], typer.Argument(metavar="ID", help="Ids of the components.", show_default=False)]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who asks; user@host unless given.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the event that tells of it.", show_default=False)]
Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the answer at most.")]
WaitOutcome = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Wait until they are healthy or have failed, so long at most; else only until it is begun.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
