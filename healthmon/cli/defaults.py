"""What the leader takes for granted where a policy sets nothing: that of this shell may be another."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from healthmon.core.policy import Defaults
from healthmon.run import defaults_of

if TYPE_CHECKING:
    from healthmon.cli.session import Session
    from healthmon.store.cluster import Watch


async def leaders_defaults(here: Session, watch: Watch) -> Defaults:
    """The leader's, as it publishes them; what it doesn't say is as this shell's settings have it.

    A leader of another version may say more or less than this one knows.
    """
    said = await here.cluster.said_by(watch.lease.replica) if watch.lease else {}
    try:
        rules = json.loads(said.get("rules") or "{}")
        given = {each.name: rules[each.name] for each in fields(Defaults) if each.name in rules}
    except ValueError:
        given = {}
    return replace(defaults_of(here.settings), **given)
