"""The page's files as they are served: what browsers may keep, what they may run, and the one table of states."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from healthmon.views import words
from healthmon.views.page import POLICY, assets, page_routes, states_module
from healthmon.views.states import LOOKS

ROOT = Path(__file__).parents[2]
WEB = ROOT / "healthmon" / "views" / "web"
IMPORTED = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\./[^"']+)["']""")
pytestmark = pytest.mark.anyio


def asking() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=page_routes())), base_url="http://page")


async def test_every_view_is_the_one_page_and_is_asked_for_anew() -> None:
    async with asking() as http:
        first = await http.get("/")
        assert first.headers["content-type"] == "text/html; charset=utf-8"
        assert first.headers["cache-control"] == "no-cache"
        assert first.headers["content-security-policy"] == POLICY
        for view in ("/c/j_prime", "/events", "/alerts", "/cluster", "/status"):
            assert (await http.get(view)).text == first.text
        again = await http.get("/", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_files_are_kept_for_ever_below_an_address_that_names_their_contents() -> None:
    async with asking() as http:
        page = (await http.get("/")).text
        named = re.findall(r'(?:href|src)="(/[^"]+)"', page)
        assert len(named) > 20
        for address in named:
            answer = await http.get(address)
            assert answer.status_code == 200, address
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            kind = "text/css" if address.endswith(".css") else "text/javascript"
            assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        older = await http.get(f"/page/{'0' * 16}/app.js")
        assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
        unknown = await http.get("/page/x/none.js")
        assert unknown.status_code == 404
        assert unknown.json()["error"]["code"] == "not_found"


async def test_files_are_packed_for_whoever_takes_that() -> None:
    async with asking() as http:
        address = f"/page/{assets().digest}/vendor/uplot.mjs"
        packed = await http.get(address, headers={"Accept-Encoding": "gzip"})
        plain = await http.get(address, headers={"Accept-Encoding": "identity"})
        assert packed.text == plain.text
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2


def test_nothing_in_the_page_needs_a_weaker_policy() -> None:
    index = (WEB / "index.html").read_text("utf-8")
    assert "<style" not in index
    assert " style=" not in index
    assert re.findall(r"<script(?![^>]*\bsrc=)", index) == []
    assert re.findall(r"\bon\w+=", index) == []


def test_every_import_names_a_file_that_is_served() -> None:
    served = assets().files
    for name, asset in served.items():
        for target in IMPORTED.findall(asset.body.decode()):
            folder = name.rpartition("/")[0]
            assert f"{folder}/{target[2:]}".lstrip("/") in served, f"{name} imports {target}"


def test_the_states_of_the_page_are_those_of_every_other_surface() -> None:
    said = re.findall(r"export const (\w+) = (.*);", states_module())
    table = {name: json.loads(value) for name, value in said if not value.startswith("(")}
    assert list(table["STATES"]) == table["WORST_FIRST"] == list(LOOKS)
    for state, look in LOOKS.items():
        shown = table["STATES"][state]
        assert (shown["word"], shown["shape"], shown["tone"]) == (look.word, look.shape, look.tone)
    drawn = (WEB / "shapes.js").read_text("utf-8")
    assert [look.shape for look in LOOKS.values() if f'"{look.shape}": ' not in drawn] == []


def test_the_tones_of_the_page_are_told_apart_in_both_schemes() -> None:
    """Each has a contrast of 4.5:1 at least with what it stands on."""
    style = (WEB / "style.css").read_text("utf-8")
    for scheme in style.split("color-scheme: ")[1:3]:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme.split("}")[0]))
        for tone in {look.tone for look in LOOKS.values()} | {"text", "quiet", "link"}:
            assert contrast(colours[tone], colours["sheet"]) >= 4.5, tone
        assert contrast(colours["on-bad"], colours["bad"]) >= 4.5
        assert contrast(colours["quiet"], colours["ground"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG 2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.needs("node")
async def test_the_page_says_times_as_the_command_line_does() -> None:
    times = [0, 99, 450, 999, 1000, 43_210, 60_000, 125_000, 600_000, 725_000, 3_600_000, 7_440_000, 187_200_000]
    counts = [0, 1, 999, 1000, 9_988, 1_234_567]
    script = (
        f"import {{ duration, number, plural }} from {json.dumps((WEB / 'words.js').as_uri())};"
        f"console.log(JSON.stringify([{times}.map((ms) => [duration(ms), duration(ms, true)]), {counts}.map(number), "
        f"{counts}.map((count) => plural(count, 'component'))]))"
    )
    ran = await anyio.run_process(["node", "--input-type=module", "--no-warnings", "-e", script])
    told = json.loads(ran.stdout)
    assert told[0] == [[words.duration(ms), words.duration(ms, short=True)] for ms in times]
    assert told[1] == [words.number(count) for count in counts]
    assert told[2] == [words.plural(count, "component") for count in counts]


def test_an_installed_healthmon_has_every_file_of_the_page_and_the_licences(tmp_path: Path) -> None:
    building = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(building, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.relative_to(ROOT).as_posix() for path in WEB.rglob("*") if path.is_file()}
    assert wanted <= packed
    assert {one.rpartition("-")[2] for one in packed if "/vendor/LICENSE-" in one} == {"preact", "htm", "uplot"}
