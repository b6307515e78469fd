"""A real browser that looks at the page as a person would."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.peers import NODE_MODULES

ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *(
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-component-update",
        "--mute-audio",
        "--disable-lcd-text",
    ),
)
PATIENCE_MS = 15_000


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """The Chromium that is on the PATH."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, address: str, *, theme: Any = "light", width: int = 1320, wait_for: str = "main h1", **more: Any
) -> AsyncIterator[Page]:
    """The page at an address, in a window of its own. An error of its scripts, or a breach of the policy, fails."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, timezone_id="UTC", **more
    )
    context.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    try:
        page = await context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        await page.goto(address)
        await page.wait_for_selector(wait_for)
        yield page
    finally:
        await context.close()
    assert wrong == []


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is now: all rules in light colours, the contrast in dark ones."""
    if not await page.evaluate("typeof axe === 'object'"):
        await page.evaluate((NODE_MODULES / "axe-core" / "axe.min.js").read_text("utf-8"))
    wrong = await _found(
        page,
        "light",
        "{runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}}",
    )
    return wrong + await _found(page, "dark", "{runOnly: {type: 'rule', values: ['color-contrast']}}")


async def _found(page: Page, theme: Literal["light", "dark"], options: str) -> list[str]:
    await page.emulate_media(color_scheme=theme)
    await page.wait_for_selector(f"html[data-theme={theme}]")
    found = await page.evaluate(f"axe.run(document, {options})")
    return [
        f"{theme}: {one['id']}: {node['target'][0]} {node.get('failureSummary', '')[:300]}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


async def sideways(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return int(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
