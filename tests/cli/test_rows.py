from __future__ import annotations

from healthmon.cli import rows
from healthmon.views.board import Row
from healthmon.views.terminal import Terminal

NOW_MS = 1_795_460_400_000
RECORD = {
    "id": "a-component-with-a-long-name",
    "state": "dead",
    "role": "a-role-with-a-long-name",
    "host": "web-03.example.org",
    "reason": "no heartbeat for 180.0 s (dead after 180 s)",
    "score": "0.00",
    "pid": "4121",
    "version": "1.22.333",
    "total_heartbeats": "123456",
    "missed_heartbeats": "7",
}


def test_a_wide_table_is_not_cut_to_fit_and_a_narrow_one_is() -> None:
    screen, row = Terminal(unicode=True, width=80), Row(RECORD, NOW_MS - 1000)
    wide = rows.table(screen, [row], NOW_MS, wide=True)
    assert all(RECORD[name] in wide[1] for name in ("id", "role", "host", "reason", "version"))
    assert max(len(line) for line in rows.table(screen, [row], NOW_MS, wide=False)) <= 80
