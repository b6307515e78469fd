"""`healthmon silence`: nobody is sent messages of these components for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from healthmon.cli.asking import Deed, do
from healthmon.cli.options import By, ComponentIds, DryRun, Form, Output, Prefix, Reason, RedisUrl, Wait
from healthmon.cli.order import order_of
from healthmon.cli.session import Where, run
from healthmon.core.overlays import SILENCE_S_MAX
from healthmon.errors import ConfigurationError
from healthmon.store.asking import ANSWER_S
from healthmon.views.words import read_duration_ms


def silence(
    ids: ComponentIds,
    *,
    length: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="For how long: 90s, 15m, 2h, 1d; 30d at most.")
    ] = "",
    reason: Reason = "",
    end: Annotated[bool, typer.Option("--end", help="End the silence now, instead of --for and --reason.")] = False,
    by: By = None,
    wait: Wait = ANSWER_S,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Silence components: their alerts say so, and sinks send no messages of them. It always ends by itself.

    They are watched, restarted and shown as before. Silencing again replaces what is left of an earlier silence.
    """
    order = order_of(by, reason, wait, dry_run=dry_run)
    if end:
        if length:
            raise ConfigurationError("--end ends a silence now: leave out --for")
        deed = Deed("silence", "silenced no longer", said={"for": "0"})
    else:
        deed = Deed("silence", "silenced", undo="silence --end", said={"for": _seconds(length, reason)})
    run(do, deed, list(dict.fromkeys(ids)), order, output, Where(redis_url, prefix))


def _seconds(length: str, reason: str) -> str:
    """The duration as the leader reads it. Raises ConfigurationError."""
    ms = read_duration_ms(length)
    if not ms:
        given = f", not {length!r}" if length else ""
        raise ConfigurationError(f"silence takes --for with a duration such as 15m, 2h or 1d{given}; --end ends one")
    if ms > SILENCE_S_MAX * 1000:
        raise ConfigurationError("--for is more than 30d: a silence lasts 30d at most, and can be renewed")
    if not reason.strip():
        raise ConfigurationError("silence takes --reason: whoever misses a message will ask why")
    return f"{ms / 1000:.12g}"
