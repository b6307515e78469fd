"""The page in a real browser over a real replica: what a person sees, does by keyboard, and can trust."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from healthmon.core.access import Grant, Scope
from healthmon.views.page import page_routes
from tests.inprocess import Replicas
from tests.servers import FreshServer
from tests.views.browsing import a_browser, opened, sideways, violations
from tests.views.serving import served, serving
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.needs("chromium")]

CALM: dict[str, Any] = {"heartbeat_timeout": 60.0, "degraded_threshold": 90.0, "dead_threshold": 180.0}
VIEWS = ("/", "/c/api-1", "/events", "/alerts", "/cluster", "/status", "/?state=healthy&group=role")
# When a row first says a word, by the browser's clock, which is also the server's.
NOTE = """([id, word]) => { const look = () => {
    const row = document.querySelector(`[data-row="${id}"]`);
    if (row?.textContent.includes(word)) window.seenMs ??= Date.now();
}; new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true}); look() }"""


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as made:
        yield made


async def beat(fleet: Replicas, component: str, **fields: str) -> None:
    said = [part for pair in fields.items() for part in pair]
    await fleet.send("id", component, *said)


async def some_components(fleet: Replicas) -> None:
    """One that is slow, one that fails, two that are well, one of them in silence."""
    await beat(fleet, "api-1", role="api", host="web-01", latency_ms="450")
    await beat(fleet, "api-2", role="api", host="web-02", latency_ms="12")
    await beat(fleet, "batch-1", role="batch", host="web-03", status="failing", msg="no disk")
    await beat(fleet, "batch-2", role="batch")
    components = fleet.members["a"].parts.table.components
    await eventually(lambda: "batch-2" in components)
    await fleet.ask("cmd", "silence", "id", "batch-2", "for", "600", "by", "ann", "reason", "moves")
    await eventually(lambda: components["batch-2"].silenced_until_ms)


def row(component: str) -> str:
    return f'[data-row="{component}"]'


# -- what a person sees ------------------------------------------------------------------------------------------------


@pytest.mark.timing
async def test_a_death_appears_without_reload_within_a_second(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes()) as here:
        await beat(here.fleet, "j_prime", role="prime")
        async with opened(browser, f"{here.http.base_url}/", wait_for=".heart.live") as page:
            await page.evaluate(NOTE, ["j_prime", "Dead"])
            await expect(page.locator(row("j_prime"))).to_contain_text("Dead")
            died_ms = here.replica.parts.table.components["j_prime"].since_ms
            assert await page.evaluate("window.seenMs") - died_ms < 1000
            assert await page.title() == "(1) ✖ healthmon · hm-test"
            await expect(page.locator("h1")).to_have_text("1 of 1 component needs attention")


async def test_the_page_says_who_needs_attention_and_hides_what_is_silenced(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        await beat(here.fleet, "batch-2", role="batch", status="failing")
        async with opened(browser, f"{here.http.base_url}/", wait_for=".heart.live") as page:
            await expect(page.locator("[data-row]")).to_have_count(2)
            first = page.locator(row("batch-1"))
            await expect(first).to_contain_text("Unhealthy")
            await expect(first).to_contain_text("no disk")
            await expect(first).to_contain_text(re.compile("last beat .* ago"))
            await expect(page.locator(row("api-1"))).to_contain_text("latency_ms 450 above 200")
            await page.get_by_role("button", name="Silenced: hidden (1)").click()
            await expect(page.locator("[data-row]")).to_have_count(3)
            await expect(page.locator(row("batch-2"))).to_contain_text("silenced for")
            await page.get_by_role("button", name="1 Healthy component").click()
            await expect(page).to_have_url(re.compile(r"\?silenced=show&state=healthy$"))
            await expect(page.locator("[data-row]")).to_have_count(1)
            await expect(page.get_by_role("button", name="1 Healthy component")).to_have_attribute(
                "aria-pressed", "true"
            )


# -- what a person can trust -------------------------------------------------------------------------------------------


async def test_without_a_leader_the_states_are_called_frozen(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await beat(here.fleet, "api-1")
        async with opened(browser, f"{here.http.base_url}/", wait_for=".heart.live") as page:
            await expect(page.get_by_role("button", name="1 Healthy component")).to_be_visible()
            assert await page.locator(".banner").count() == 0
            await here.fleet.stop("a")
            await expect(page.locator(".banner")).to_contain_text(
                re.compile(r"No leader for .* s: states below are frozen")
            )
            await expect(page.locator("main.stale .counters")).to_contain_text(
                re.compile(r"Healthy component\(as of \d\d:\d\d:\d\d\)")
            )


async def test_redis_out_of_reach_is_said_in_other_words(
    fresh_server: Callable[..., FreshServer], browser: Browser
) -> None:
    server = fresh_server(keep=True)
    async with served(await server.start(), "a", routes=page_routes(), **CALM) as here:
        await beat(here.fleet, "api-1")
        async with opened(browser, f"{here.http.base_url}/", wait_for=".heart.live") as page:
            server.freeze()
            try:
                await expect(page.locator(".banner")).to_contain_text(
                    re.compile(r"Redis unreachable: data is .* s old")
                )
                await expect(page.locator("main")).to_have_class("stale")
            finally:
                server.thaw()
            await expect(page.locator(".banner")).to_have_count(0)


async def test_a_server_that_stops_is_reconnected_to_and_told_apart(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await beat(here.fleet, "api-1")
        async with serving(here.app) as address:
            port = int(address.rpartition(":")[2])
            opening = opened(browser, f"{address}/", wait_for=".heart.live")
            page = await opening.__aenter__()
        await expect(page.locator(".banner")).to_contain_text(re.compile(r"Reconnecting… data is .* s old"))
        await beat(here.fleet, "api-2", status="failing")
        async with serving(here.app, port=port):
            await page.get_by_role("button", name="Try now").click()
            await expect(page.locator(".banner")).to_have_count(0)
            await expect(page.locator(row("api-2"))).to_contain_text("Unhealthy")
            await opening.__aexit__(None, None, None)


# -- what a person does ------------------------------------------------------------------------------------------------


async def test_everything_is_reached_by_keyboard(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        async with opened(browser, f"{here.http.base_url}/", wait_for=row("api-1")) as page:
            for key in ("j", "j", "k"):
                await page.keyboard.press(key)
            await expect(page.locator(f"{row('batch-1')} a")).to_be_focused()
            await page.keyboard.press("Enter")
            await expect(page).to_have_url(re.compile("/c/batch-1$"))
            await expect(page.locator("h1")).to_have_text("batch-1")
            await expect(page.locator("h1")).to_be_focused()
            await page.keyboard.press("Escape")
            await expect(page).to_have_url(re.compile("/$"))
            await page.keyboard.press("/")
            await page.keyboard.type("role:api")
            await expect(page).to_have_url(re.compile("q=role:api$"))
            await expect(page.locator("[data-row]")).to_have_count(2)
            await page.keyboard.press("Escape")
            await page.keyboard.press("f")
            await expect(page.locator("[data-row]")).to_have_count(1)
            for keys, path in (("ge", "/events"), ("gc", "/cluster"), ("ga", "/alerts"), ("gf", "/")):
                await page.keyboard.type(keys)
                await expect(page).to_have_url(re.compile(f"{path}$"))
            await page.keyboard.press("?")
            await expect(page.get_by_role("dialog", name="Help")).to_be_visible()
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog", name="Help")).to_be_hidden()


TYPED_MEANWHILE = """() => {
  const box = document.getElementById("search"), push = history.pushState.bind(history);
  history.pushState = (...step) => {
    history.pushState = push;
    box.value = "role:api";
    box.dispatchEvent(new Event("input", { bubbles: true }));
    push(...step);
  };
}"""


async def test_what_is_typed_while_a_search_begins_is_not_lost(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        async with opened(browser, f"{here.http.base_url}/", wait_for=row("api-1")) as page:
            await page.evaluate(TYPED_MEANWHILE)
            await page.keyboard.press("/")
            await page.keyboard.type("ro")
            await expect(page).to_have_url(re.compile("q=role:api$"))
            await expect(page.locator("#search")).to_have_value("role:api")
            await page.go_back()
            await expect(page.locator("#search")).to_have_value("")


async def test_an_order_is_confirmed_given_and_told_and_the_focus_comes_back(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        async with opened(browser, f"{here.http.base_url}/", wait_for=row("api-1")) as page:
            await page.locator(f"{row('api-1')} a").focus()
            await page.keyboard.press("s")
            dialog = page.get_by_role("dialog", name="Silence api-1")
            await expect(dialog.get_by_label("Reason")).to_be_focused()
            await page.keyboard.type("too noisy")
            await page.keyboard.press("Enter")
            await expect(dialog).to_contain_text(re.compile("Done.*too noisy"))
            assert here.replica.parts.table.components["api-1"].silenced_reason == "too noisy"
            await page.keyboard.press("Escape")
            await expect(page.locator(row("api-1"))).to_have_count(0)
            await expect(page.locator("main :focus")).to_have_count(1)
            await page.locator(f"{row('batch-1')} .more").click()
            await page.get_by_role("button", name="Restart", exact=True).click()
            await page.locator("dialog[open] button[type=submit]").click()
            await expect(page.locator("dialog[open]")).to_contain_text("Refused: ")
            await page.get_by_role("button", name="Close", exact=True).click()
            await expect(page.locator(f"{row('batch-1')} .more")).to_be_focused()


async def test_without_the_scope_a_token_is_asked_for_and_goes_in_no_url(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        here.app.grant = Grant("nobody", frozenset())
        async with opened(browser, f"{here.http.base_url}/", wait_for="dialog[open]") as page:
            asked: list[str] = []
            page.on("request", lambda request: asked.append(f"{request.url} {request.headers.get('authorization')}"))
            here.app.grant = Grant("viewer", frozenset((Scope.READ,)))
            await page.get_by_label("Bearer token").fill("s3cret")
            await page.keyboard.press("Enter")
            await expect(page.locator("[data-row]")).to_have_count(2)
            assert await page.locator(".row button").count() == 0
            assert any(one.endswith("/health Bearer s3cret") for one in asked)
            assert not any("s3cret" in one.partition(" ")[0] for one in asked)
            assert await page.evaluate("localStorage.length") == 0


async def test_who_gives_no_token_is_told_what_is_missing_and_can_give_it_later(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        here.app.grant = Grant("nobody", frozenset())
        async with opened(browser, f"{here.http.base_url}/cluster", wait_for="dialog[open]") as page:
            await page.keyboard.press("Escape")
            await expect(page.locator(".banner")).to_contain_text("This server wants a token")
            await page.keyboard.type("gf")
            await expect(
                page.get_by_role("button", name="\u2013 Dead components")
            ).to_be_visible()  # not 0: it is not known
            await page.keyboard.type("gc")
            async with page.expect_response(re.compile("/health/cluster$")):  # it goes on reading, and asks no more
                pass
            await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            await expect(page.locator("dialog[open]")).to_have_count(0)
            await page.get_by_role("button", name="Give a token").click()
            here.app.grant = Grant("viewer", frozenset((Scope.READ,)))
            await page.get_by_label("Bearer token").fill("s3cret")
            await page.keyboard.press("Enter")
            await expect(page.locator(".heart.live")).to_be_visible()
            await expect(page.locator(".banner")).to_have_count(0)


# -- for everybody -----------------------------------------------------------------------------------------------------


@pytest.mark.needs("axe-core")
async def test_no_view_has_a_barrier_that_axe_finds_in_light_or_dark(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        await here.knows("batch-1", state="unhealthy")
        async with opened(browser, f"{here.http.base_url}/", wait_for=row("api-1")) as page:
            found = {}
            for view in VIEWS:
                await page.goto(f"{here.http.base_url}{view}")
                await page.wait_for_selector("main :is(h2, .row, .event)")
                found[view] = await violations(page)
            await page.goto(f"{here.http.base_url}/")
            await page.wait_for_selector(row("api-1"))
            await page.keyboard.press("?")
            found["help"] = await violations(page)
            await page.keyboard.press("Escape")
            await page.locator(".more").first.click()
            found["orders"] = await violations(page)
            await page.get_by_role("button", name="Silence", exact=True).click()
            found["silence"] = await violations(page)
        told = [f"{view} {one}" for view, wrong in found.items() for one in wrong]
        assert not told, "\n".join(told)


async def test_no_view_is_wider_than_a_phone(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await some_components(here.fleet)
        await beat(here.fleet, "a-component-with-a-very-long-name." * 3 + "x", status="failing", msg="no " * 30)
        async with opened(browser, f"{here.http.base_url}/", width=390, wait_for=row("api-1")) as page:
            for view in VIEWS:
                await page.goto(f"{here.http.base_url}{view}")
                await page.wait_for_selector("main :is(h2, .row, .event)")
                assert await sideways(page) <= 0, view


async def test_what_a_stranger_sends_is_shown_as_text_and_never_run(url: str, browser: Browser) -> None:
    image = '"><img src=x onerror="window.ran = 1">'
    said = dict.fromkeys(("role", "host", "version", "msg", "incarnation"), image)
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        await beat(here.fleet, "evil", status="failing", **said, **{f"m.{image}": "3", "latency_ms": "450"})
        async with opened(browser, f"{here.http.base_url}/", wait_for=row("evil")) as page:
            for view in ("/", "/?group=role", "/c/evil", "/events", "/alerts", "/status"):
                await page.goto(f"{here.http.base_url}{view}")
                await page.wait_for_selector("main :is(h2, .row, .event)")
                await expect(page.locator("main")).to_contain_text("<img src=x")
                assert await page.evaluate("[document.querySelectorAll('main img').length, window.ran ?? 0]") == [0, 0]


@pytest.mark.timing
async def test_ten_thousand_components_are_filtered_without_a_slow_frame(url: str, browser: Browser) -> None:
    async with served(url, "a", routes=page_routes(), **CALM) as here:
        pipe = here.fleet.client.pipeline(transaction=False)
        for n in range(10_000):
            failing = ("status", "failing") if n % 10 == 0 else ()
            pipe.execute_command(
                "XADD", here.fleet.keys.heartbeats, "*", "id", f"c-{n}", "role", f"r{n % 40}", *failing
            )
        await pipe.execute()
        census = here.replica.parts.table.census
        await eventually(lambda: sum(census.states.values()) - census.unregistered == 10_000, 30)
        async with opened(browser, f"{here.http.base_url}/", wait_for="[data-row]") as page:
            await expect(page.locator("[data-row]")).to_have_count(50)
            await page.evaluate(
                "window.slow = []; new PerformanceObserver((list) => window.slow.push("
                "...list.getEntries().map((one) => one.duration))).observe({entryTypes: ['longtask']})"
            )
            await page.keyboard.press("/")
            await page.keyboard.type("c-999", delay=30)
            await expect(page.locator("[data-row]")).to_have_count(11)
            await page.get_by_role("button", name="10 Healthy components").click()
            await expect(page.locator("[data-row]")).to_have_count(10)
            await page.goto(f"{here.http.base_url}/?state=healthy&page=180")
            await expect(page.locator(".pages")).to_contain_text("8 951 to 9 000 of 9 000 components")
            slow = await page.evaluate("window.slow ?? []")
        assert max(slow, default=0) < 150, slow
