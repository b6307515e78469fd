"""`python -m tests.views.picturing FOLDER`: pictures of the page over a live demo, in light and in dark colours.

They are taken when somebody has given up and somebody else is ill, so that the pictures show what the page is for.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Final

import anyio
from playwright.async_api import Page, expect

from tests.views.browsing import a_browser, opened

WIDTH: Final = 1280
HEIGHT: Final = 740
SCENE_MS: Final = 120_000
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
BYTES_MAX: Final = 150_000
ADDRESS: Final = re.compile(rb"http://127\.0\.0\.1:\d+/")


async def main(folder: Path) -> None:
    """Start the demo, wait for the scene, and take both pictures of the same moment."""
    command = [sys.executable, "-m", "healthmon", "up", "--demo"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")}
    async with await anyio.open_process(command, stderr=subprocess.STDOUT, env=environment) as demo:
        try:
            await take(await address_of(demo), folder)
        finally:
            demo.terminate()


async def address_of(demo: anyio.abc.Process) -> str:
    """Where the demo says that its page is."""
    said = b""
    assert demo.stdout is not None
    async for part in demo.stdout:
        said += part
        if found := ADDRESS.search(said):
            return found[0].decode()
    raise RuntimeError(f"the demo ended and said: {said.decode()}")


async def take(address: str, folder: Path) -> None:
    async with a_browser() as browser, opened(browser, address, width=WIDTH, device_scale_factor=1) as page:
        rows = page.locator("[data-row]")
        await expect(rows.filter(has_text="Gave up").first).to_be_visible(timeout=SCENE_MS)
        await expect(rows.nth(1)).to_be_visible(timeout=SCENE_MS)
        for theme in ("light", "dark"):
            await take_one(page, theme, folder / f"fleet-{theme}.png")


async def take_one(page: Page, theme: str, file: Path) -> None:
    await page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    await page.wait_for_selector(f"html[data-theme={theme}]")
    picture = repacked(await page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}))
    if len(picture) > BYTES_MAX:
        raise RuntimeError(f"{file} would have {len(picture)} bytes, above {BYTES_MAX}")
    await anyio.Path(file.parent).mkdir(exist_ok=True)
    await anyio.Path(file).write_bytes(picture)
    sys.stdout.write(f"{file}: {len(picture)} bytes\n")


def repacked(png: bytes) -> bytes:
    """The same picture in fewer bytes: browsers compress in a hurry."""
    at, parts, pixels = len(SIGNATURE), [], b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IDAT":
            pixels += body
        else:
            parts.append((kind, body))
    parts.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
