"""The status page in a real browser: it is alive, gives what it has to be copied, and reads well in every shape.

Set UPDATE_PICTURES=1 to put the pictures of this run into docs/images.
"""

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process
from tests.support.notebook_page import ARTIFACTS, PICTURES, TIMEOUT_MILLISECONDS, needs_browser, open_browser

DESK: ViewportSize = {"width": 1200, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

NUM_REQUESTS = 12  # as many as fill the left column
# The words of a text that stand on more than one line.
BROKEN_WORDS = """cells => cells.flatMap(cell => cell.textContent.split(/[ /]/).filter(word => {
    const range = document.createRange();
    const start = cell.textContent.indexOf(word);
    range.setStart(cell.firstChild, start);
    range.setEnd(cell.firstChild, start + word.length);
    return range.getClientRects().length > 1;
}))"""

pytestmark = needs_browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("home")
    with jupyter_process(home, "server", "--port=0", "--ServerApp.base_url=/user/ada/") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console says: an inline script that was refused, a file that is missing."""
    return []


@pytest.fixture
def page(browser: Browser, server: JupyterProcess, complaints: list[str]) -> Iterator[Page]:
    """The page as somebody sees it who has logged in."""
    with browser.new_context(viewport=DESK, device_scale_factor=1.5) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.url}gpt-oss/?token={TOKEN}")
        yield page


def ask(server: JupyterProcess, text: str) -> Any:
    body = {"model": "any", "messages": [{"role": "user", "content": text}], "max_tokens": 60, "seed": 1}
    request = urllib.request.Request(
        f"{server.openai_url}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def key_of(server: JupyterProcess) -> str:
    [file] = server.home.rglob("api_key")
    return file.read_text().strip()


def copied(page: Page) -> str:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def shot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=str(ARTIFACTS / f"{name}.png"), full_page=True)
    if os.environ.get("UPDATE_PICTURES"):
        shutil.copyfile(ARTIFACTS / f"{name}.png", PICTURES / f"{name}.png")


def test_the_page_follows_the_model(page: Page, server: JupyterProcess, complaints: list[str]) -> None:
    assert TOKEN not in page.url
    before = page.locator(".requests b").inner_text()
    ask(server, "Hello")
    expect(page.locator(".state")).to_have_text("ready")
    expect(page.get_by_text("POST v1/chat/completions")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("live")
    assert before == "0"
    if server.far is None:
        assert "MB" in page.locator(".memory").inner_text()
        assert page.locator(".shares rect").count() == 3
    else:  # another machine's memory is not told
        assert "–" in page.locator(".memory").inner_text()  # noqa: RUF001
    assert "Hello" not in page.locator("#live").inner_text()
    assert complaints == []


def test_what_is_copied_has_the_url_and_the_key(page: Page, server: JupyterProcess) -> None:
    page.locator("[data-copy=base-url]").click()
    assert copied(page) == server.openai_url
    page.locator("[data-copy=key]").click()
    assert copied(page) == key_of(server)
    page.get_by_text("OpenAI Agents SDK").click()
    page.locator("details[open] button").click()
    assert f'base_url="{server.openai_url}"' in copied(page)
    assert f'api_key="{key_of(server)}"' in copied(page)


def test_the_key_is_seen_when_it_is_asked_for(page: Page, server: JupyterProcess) -> None:
    key = page.get_by_label("Key", exact=True)
    assert key.get_attribute("type") == "password"
    page.get_by_role("button", name="Show").click()
    assert key.get_attribute("type") == "text"
    assert key.input_value() == key_of(server)
    page.get_by_role("button", name="Hide").click()
    assert key.get_attribute("type") == "password"
    assert key_of(server) not in page.locator("body").inner_text()


def test_a_stranger_logs_in_and_comes_to_the_page(browser: Browser, server: JupyterProcess) -> None:
    with browser.new_page() as page:
        page.goto(f"{server.url}gpt-oss/")
        assert "/login" in page.url
        page.locator("#password_input").fill(TOKEN)
        page.locator("#login_submit").click()
        expect(page.get_by_role("heading", name="GPT-OSS")).to_be_visible()


def test_the_page_reads_well_in_both_themes_and_on_a_phone(page: Page, server: JupyterProcess) -> None:
    for _ in range(NUM_REQUESTS):
        ask(server, "Tell me a story.")
    expect(page.locator(".state")).to_have_text("ready")
    with page.expect_response(lambda response: "part=live" in response.url):
        pass
    backgrounds = set()
    for name, theme, size in (
        ("status-light", "light", DESK),
        ("status-dark", "dark", DESK),
        ("status-phone", "light", PHONE),
    ):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.set_viewport_size(size)
        shot(page, name)
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], name
        assert page.locator("td code").evaluate_all(BROKEN_WORDS) == []
        if size is DESK:
            assert page.locator("details[open] pre").evaluate("pre => pre.scrollWidth - pre.clientWidth") == 0
    assert len(backgrounds) == 2
