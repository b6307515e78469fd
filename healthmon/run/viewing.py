"""The views of a replica: what it knows, shown over HTTP by the same process."""

from __future__ import annotations

from healthmon.monitor.replica import Replica
from healthmon.views.desk import Desk, make_desk


def desk_of(replica: Replica) -> Desk:
    """The desk over a replica's own table; it runs beside it, in the same event loop."""
    parts, settings = replica.parts, replica.settings
    return make_desk(
        settings.redis_url,
        parts.keys,
        settings.replica_id,
        table=parts.table,
        now_ms=lambda: round(parts.time.now_ms()),
        loaded=replica.loaded.is_set,
    )
