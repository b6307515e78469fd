"""Each kind of sink against something real that listens."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from healthmon.alerts.alertmanager import Alertmanager
from healthmon.alerts.apprise import Apprise
from healthmon.alerts.courier import send
from healthmon.alerts.log import Log
from healthmon.alerts.undelivered import Undelivered
from healthmon.alerts.webhook import Webhook
from healthmon.core.messages import Message, message_of
from tests.alerts.alerts import alert
from tests.alerts.receiver import Receiver
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_webhook_gets_the_whole_cloud_event_signed(receiver: Receiver) -> None:
    said = alert("api", "dead")
    await Webhook(receiver.url, "s3cret", 5).send([message_of(said, 1000, 1000)])
    headers = {name.lower(): value for name, value in receiver.headers[0].items()}
    assert headers["content-type"] == "application/cloudevents+json"
    assert receiver.taken == [said]
    stamped = headers["x-healthmon-timestamp"].encode() + b"." + receiver.bodies[0]
    assert headers["x-healthmon-signature"] == f"sha256={hmac.new(b's3cret', stamped, hashlib.sha256).hexdigest()}"


async def test_the_url_of_a_webhook_is_logged_by_nobody_though_a_program_logs_all_that_httpx_says(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await Webhook(receiver.url, "", 5).send([message_of(alert("api", "dead"), 0, 0)])
    assert "/alerts" not in caplog.text
    async with httpx.AsyncClient() as client:
        await client.post(receiver.url, json=alert("api", "dead"))
    assert "/alerts" in caplog.text, "what the program asks for itself is logged as before"


@pytest.mark.parametrize(("status", "hopeless"), [(400, True), (422, True), (401, False), (404, False), (500, False)])
async def test_an_answer_that_is_no_success_is_undelivered_and_says_whether_for_ever(
    receiver: Receiver, status: int, hopeless: bool
) -> None:
    receiver.status = status
    with pytest.raises(Undelivered, match=str(status)) as raised:
        await Webhook(receiver.url, "", 5).send([message_of(alert("api", "dead"), 0, 0)])
    assert raised.value.hopeless is hopeless


async def test_a_sink_that_raises_anything_only_did_not_take_it() -> None:
    class Broken(Log):
        async def send(self, messages: Sequence[Message]) -> None:
            raise ZeroDivisionError(len(messages))

    with pytest.raises(Undelivered, match="ZeroDivisionError"):
        await send(Broken(), [message_of(alert("api", "dead"), 0, 0)])


async def test_the_log_tells_what_fires_at_its_level_and_what_resolves_as_information(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "healthmon.alerts")
    logging.getLogger("healthmon").propagate = True
    ended = message_of(alert("api", "healthy", status="resolved"), 0, 192_000)
    await Log().send([message_of(alert("api", "dead"), 0, 0), ended])
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "INFO"]
    assert "it lasted 3 m 12 s" in caplog.text


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it
async def test_apprise_notifies_the_service_that_its_url_names(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    service = Apprise(f"json://127.0.0.1:{receiver.port}/x", 10)
    await service.send([message_of(alert("api", "dead"), 0, 0)])
    [taken] = receiver.taken
    assert (taken["title"], taken["type"]) == ("Critical: api is dead: it is quiet", "failure")
    receiver.status = 500
    with pytest.raises(Undelivered):
        await service.send([message_of(alert("api", "dead"), 0, 0)])


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """A real Alertmanager with a route that sends nowhere; its URL."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    process = subprocess.Popen(
        [
            *("prometheus-alertmanager", f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/data"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.mark.needs("prometheus-alertmanager")
async def test_a_real_alertmanager_shows_what_fires_under_its_severity_and_forgets_what_resolved(
    alertmanager: str,
) -> None:
    sink = Alertmanager(alertmanager, 5, 60)
    began_ms = 1_795_462_127_112
    await eventually(lambda: reaches(sink, message_of(alert("api", "degraded"), began_ms, began_ms)), 20)
    await eventually(lambda: shows(alertmanager, ["warning"]))
    await sink.send([message_of(alert("api", "dead"), began_ms, began_ms, "warning")])
    await eventually(lambda: shows(alertmanager, ["critical"]))
    [shown] = await active(alertmanager)
    assert shown["labels"] == {
        "alertname": "HealthmonComponent",
        "component": "api",
        "role": "web",
        "severity": "critical",
        "source": "/healthmon/0",
    }
    assert shown["annotations"]["summary"] == "api is dead: it is quiet"
    await sink.send([message_of(alert("api", "healthy", status="resolved"), began_ms, began_ms, "critical")])
    await eventually(lambda: shows(alertmanager, []))


async def reaches(sink: Alertmanager, message: Message) -> bool:
    try:
        await sink.send([message])
    except Undelivered:
        return False
    return True


async def active(url: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        found: list[dict[str, Any]] = json.loads((await client.get(f"{url}/api/v2/alerts?active=true")).text)
        return found


async def shows(url: str, severities: list[str]) -> bool:
    return [one["labels"]["severity"] for one in await active(url)] == severities
