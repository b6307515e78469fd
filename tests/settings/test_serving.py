from __future__ import annotations

from pathlib import Path

import pytest

from healthmon.errors import ConfigurationError
from healthmon.settings import describe, load_serving_settings, load_settings


def test_the_defaults_serve_this_machine_alone() -> None:
    settings = load_serving_settings()
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8787)
    assert settings.token is None
    assert settings.tokens_file is None
    assert not settings.http_cors
    assert not settings.heartbeat_dirs


def test_lists_are_given_as_text_or_as_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEALTH_HEARTBEAT_DIRS", "/srv/beats:/var/beats")
    monkeypatch.setenv("HEALTH_HTTP_CORS", "https://ops.example, http://localhost:3000")
    settings = load_serving_settings()
    assert settings.heartbeat_dirs == (Path("/srv/beats"), Path("/var/beats"))
    assert settings.http_cors == ("https://ops.example", "http://localhost:3000")
    monkeypatch.delenv("HEALTH_HTTP_CORS")
    (tmp_path / "h.toml").write_text('http_cors = ["https://a.example"]\nheartbeat_timeout = 50\n')
    assert load_serving_settings(config=tmp_path / "h.toml").http_cors == ("https://a.example",)
    assert load_settings(config=tmp_path / "h.toml").heartbeat_timeout == 50, "one file serves both"


@pytest.mark.parametrize(
    "origin", ["*", "https://", "ops.example", "https://ops.example/page", "ftp://a", "https://*.a"]
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match=r"http_cors has .* which is no origin; give https://HOST"):
        load_serving_settings(http_cors=origin)


@pytest.mark.parametrize(("given", "other"), [("http_tls_cert", "HTTP_TLS_KEY"), ("http_tls_key", "HTTP_TLS_CERT")])
def test_half_a_certificate_is_refused(given: str, other: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{given} .*needs HEALTH_{other} .*HTTPS takes both"):
        load_serving_settings(**{given: "x.pem"})


def test_a_misspelt_name_is_refused_here_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_HTTP_PROT", "1")
    for load in (load_serving_settings, load_settings):
        with pytest.raises(ConfigurationError, match="did you mean HEALTH_HTTP_PORT"):
            load()


def test_described_it_shows_no_token() -> None:
    rows = {row.name: row.value for row in describe(load_serving_settings(token="hm_a-secret-that-is-long"))}
    assert "secret" not in rows["HEALTH_TOKEN"].lower().replace("secretstr", "")
    assert "HEALTH_REDIS_URL" not in rows, "what all share is described with the monitor's"
