"""The page: its files as they lie in `web/`. They hold no data, so that none of them needs a token.

The files stand below an address that names their contents, so that a browser keeps them for ever and never shows those
of another version. Only `/` itself is asked for anew.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from healthmon.core.refusal import refusal
from healthmon.views.states import LOOKS, PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable


ROOT: Final = "/page"
VIEWS: Final = ("/", "/c/{id}", "/events", "/alerts", "/cluster", "/status")
TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
}
# Nothing but what this server itself gives; the icon is drawn by the page.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FOREVER: Final = "public, max-age=31536000, immutable"
_ANEW: Final = "no-cache"
_LAZY: Final = "vendor/uplot.mjs"  # the one that only a component's view needs


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent, and packed as browsers take it."""

    body: bytes
    packed: bytes
    kind: str
    tag: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by their path, and the digest of all of them."""

    files: dict[str, Asset]
    index: Asset
    digest: str


def states_module() -> str:
    """The module `states.js`: words, shapes, tones and order of the states, made from the one table of them."""
    looks = {state: asdict(look) for state, look in LOOKS.items()}
    return (
        f"export const STATES = {json.dumps(looks, ensure_ascii=False)};\n"
        f"export const WORST_FIRST = {json.dumps(list(LOOKS))};\n"
        f"export const PROBLEMS = {json.dumps(list(PROBLEMS))};\n"
        "export const lookOf = (state) => STATES[state] ?? { ...STATES.unknown, word: state || STATES.unknown.word };\n"
    )


@cache
def assets() -> Assets:
    """The files of the page. They are read once."""
    texts = dict(_texts(resources.files("healthmon.views") / "web"))
    index = texts.pop("index.html")
    texts["states.js"] = states_module()
    whole = "\0".join(f"{name}\0{text}" for name, text in sorted({**texts, "": index}.items()))
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    base = f"{ROOT}/{digest}"
    early = [name for name in sorted(texts) if name.endswith("js") and name not in (_LAZY, "app.js")]
    preload = "\n".join(f'<link rel="modulepreload" href="{base}/{name}">' for name in early)
    page = index.replace("{preload}", preload).replace("{base}", base)
    return Assets({name: _asset(name, text) for name, text in texts.items()}, _asset("index.html", page), digest)


def page_routes() -> list[BaseRoute]:
    """The page's views and its files. At /status it answers who asks for HTML, beside what the API has there."""
    return [
        *(Route(path, _page, include_in_schema=False) for path in VIEWS),
        Route(f"{ROOT}/{{digest}}/{{name:path}}", _file, include_in_schema=False),
    ]


# -- files -----------------------------------------------------------------------------------------------------------


def _page(request: Request) -> Response:
    return _sent(request, assets().index, _ANEW, {"Content-Security-Policy": POLICY, "Vary": "Accept"})


def _file(request: Request) -> Response:
    """A file by its path. One that an older page names by another digest is sent, too, but not to be kept."""
    known = assets()
    asset = known.files.get(request.path_params["name"])
    if asset is None:
        missing = refusal("not_found", "the page has no such file: load the page anew")
        return JSONResponse(missing, 404)
    return _sent(request, asset, _FOREVER if request.path_params["digest"] == known.digest else _ANEW, {})


def _sent(request: Request, asset: Asset, keep: str, more: dict[str, str]) -> Response:
    headers = {"ETag": asset.tag, "Cache-Control": keep, "X-Content-Type-Options": "nosniff", **more}
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept, Accept-Encoding"}
        return Response(asset.packed, headers=headers, media_type=asset.kind)
    return Response(asset.body, headers=headers, media_type=asset.kind)


def _texts(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _texts(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            yield prefix + entry.name, entry.read_text("utf-8")


def _asset(name: str, text: str) -> Asset:
    body = text.encode()
    tag = hashlib.sha256(body).hexdigest()[:16]
    return Asset(body, gzip.compress(body, mtime=0), TYPES[name.rpartition(".")[2]], f'"{tag}"')
