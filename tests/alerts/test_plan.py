"""The alerts file: what is right in it, and each thing that is wrong, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.alerts.plan import load_plan, read_plan
from healthmon.core.incidents import Rules
from healthmon.core.routes import Route
from healthmon.errors import ConfigurationError
from tests.alerts.conftest import Write

LOG = '[sinks.log]\nkind = "log"\n'
WHOLE = """\
window = 5
cap = 3
remind_every = 3600
retry_for = 60
tell_restarting = true

[sinks.pager]
kind = "webhook"
url_env = "PAGER_URL"
secret_env = "PAGER_SECRET"
timeout = 2

[sinks.am]
kind = "alertmanager"
url = "http://127.0.0.1:9093"
refresh = 30

[sinks.log]
kind = "log"

[[routes]]
sinks = ["pager", "log"]
severity = "critical"
roles = ["db"]
ids = ["pg-*"]
"""


def test_a_whole_file_is_read_with_its_secrets_from_the_environment_and_none_is_shown() -> None:
    plan, errors = read_plan(WHOLE.encode(), {"PAGER_URL": "https://hooks.example/T0P", "PAGER_SECRET": "s3cret"})
    assert errors == ()
    assert (plan.window_ms, plan.cap, plan.retry_for_s, plan.rules) == (5000, 3, 60, Rules(5000, 3_600_000, True))
    assert plan.kinds == {"pager": "webhook", "am": "alertmanager", "log": "log"}
    assert plan.routes == (Route(("pager", "log"), "critical", ("db",), ("pg-*",)),)
    assert "s3cret" not in repr(plan)
    assert "T0P" not in repr(plan)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = ", 1, "no TOML"),
        ("", None, "the file has no sink"),
        ("sink = 1\n" + LOG, 1, "an alerts file has no 'sink'; did you mean sinks?"),
        ("cap = 0\n" + LOG, 1, "cap must be a number from 1 to 10000"),
        ("cap = 1.5\n" + LOG, 1, "cap must be a whole number"),
        ("window = true\n" + LOG, 1, "window must be a number from 0.1 to 3600"),
        ("tell_restarting = 1\n" + LOG, 1, "tell_restarting must be true or false"),
        ("sinks = 3", 1, "sinks must be tables"),
        ("sinks.log = 3", 1, "sinks.log must be a table"),
        ("[sinks.log]\n", 1, "sinks.log has no kind; give log, webhook, alertmanager or apprise"),
        ('[sinks.x]\nkind = "pigeon"', 2, "there is no kind 'pigeon'"),
        ('[sinks."a b"]\nkind = "log"', 1, "'a b' is no name of a sink"),
        ('[sinks.x]\nkind = "log"\nurl = "x"', 3, "a sink of kind log has no 'url'"),
        ('[sinks.x]\nkind = "webhook"', 1, "sinks.x has no url (or url_env)"),
        ('[sinks.x]\nkind = "webhook"\nurl = "ftp://x"', 3, "url is no URL of the form http://"),
        ('[sinks.x]\nkind = "webhook"\nurl = 3', 3, "sinks.x.url must be text"),
        ('[sinks.x]\nkind = "webhook"\nurl_env = "NOT_SET"', 3, "NOT_SET, which sinks.x.url_env names, is unset"),
        ('[sinks.x]\nkind = "webhook"\nurl = "http://x"\nurl_env = "SET"', 4, "has url and url_env; give one"),
        ('[sinks.x]\nkind = "webhook"\nurl = "http://x"\nsecret = "x"', 4, "has no 'secret'; did you mean secret_env?"),
        ('[sinks.x]\nkind = "webhook"\nurl = "http://x"\ntimeout = 0', 4, "timeout must be a number from 0.05 to 60"),
        (LOG + "[routes]\n", 3, "routes must be tables: [[routes]]"),
        (LOG + "[[routes]]\n", 3, "the route has no sinks"),
        (LOG + '[[routes]]\nsinks = "log"', 4, 'sinks must be a list of texts: sinks = ["..."]'),
        (LOG + '[[routes]]\nsinks = ["lug"]', 4, "there is no sink 'lug'; did you mean log?"),
        (LOG + '[[routes]]\nsinks = ["log"]\nseverity = "bad"', 5, "there is no severity 'bad'"),
        (LOG + '[[routes]]\nsinks = ["log"]\nid = ["x"]', 5, "a route has no 'id'; did you mean ids?"),
    ],
)
def test_each_mistake_is_told_with_its_line_and_what_is_right(text: str, line: int | None, says: str) -> None:
    _, errors = read_plan(text.encode(), {"SET": "http://y"})
    told = [(one.place.line if one.place else None, one.says) for one in errors]
    assert any(at == line and says in sentence for at, sentence in told), told


def test_all_mistakes_are_told_at_once_and_each_line_begins_with_the_file(alerts_file: Write) -> None:
    path = alerts_file('cap = 0\n[sinks.x]\nkind = "pigeon"\n')
    with pytest.raises(ConfigurationError) as raised:
        load_plan(Path(path), {})
    assert [line.rpartition(": ")[0].split(": ")[0] for line in str(raised.value).splitlines()] == [
        f"{path}:1:1",
        f"{path}:3:1",
    ]


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory; correct HEALTH_ALERTS_"):
        load_plan(tmp_path / "none.toml", {})


@given(st.recursive(st.integers() | st.booleans() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_no_value_anywhere_upsets_the_reader(value: object) -> None:
    said = str(value).lower() if isinstance(value, bool) else repr(value) if not isinstance(value, str) else '"x"'
    said = said.replace("'", '"').replace("True", "true").replace("False", "false")
    for template in ("cap = {}\n", "sinks = {}\n", "sinks.x = {}\n", "routes = {}\n", "[sinks.x]\nkind = {}\n"):
        read_plan(template.format(said).encode("utf-8", "replace"), {})
    read_plan(f"{LOG}[[routes]]\nsinks = {said}\nseverity = {said}\nids = {said}\n".encode("utf-8", "replace"), {})
