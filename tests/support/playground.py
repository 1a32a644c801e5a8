"""Pages in a headless Chromium that Playwright drives: the same program that `tests.support.browser` finds."""

import contextlib
import os
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browser import find

__all__ = ["open_chromium", "opened"]

_FLAGS = ["--no-sandbox", "--disable-gpu", "--in-process-gpu", "--disable-dev-shm-usage"]


@contextlib.contextmanager
def open_chromium() -> Iterator[Browser]:
    """Start the browser; the caller has looked that there is one."""
    program = find()
    folder = program.parent
    environment = dict(os.environ)
    if (folder / "fonts.conf").exists():
        environment |= {"LD_LIBRARY_PATH": f"{folder}/lib:{folder}", "FONTCONFIG_FILE": f"{folder}/fonts.conf"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, env=environment, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Browser, url: str, *, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
    """Open the page and wait for its form; fail when it complained, or asked anything of another host."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # A refused request is what some tests are about, and Chromium logs each.
    page.on("console", lambda said: wrong.append(said.text) if "responded with a status of" not in said.text else None)
    page.on("request", lambda asked: None if asked.url.startswith((url, "blob:", "data:")) else wrong.append(asked.url))
    page.goto(url)
    page.wait_for_selector("#form:not([hidden])")
    try:
        yield page
    finally:
        context.close()
    assert wrong == []
