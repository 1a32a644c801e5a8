"""A headless Chromium, spoken to over the pipe that its DevTools protocol offers: no package, no port.

`find()` gives the one that `make tools` unpacked, else one of the system's, else None.
"""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Browser", "Page", "axe", "find", "open_browser"]

_TOOLS = Path(__file__).parents[2] / ".tools" / "chromium"
_SYSTEM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def find() -> Path | None:
    """Return a Chromium that can be started, None when there is none."""
    if (_TOOLS / ".done").exists():
        return _TOOLS / "chromium"
    return next((Path(found) for name in _SYSTEM if (found := shutil.which(name))), None)


def axe() -> str | None:
    """Return the script that audits a page for accessibility, None where it was not fetched."""
    script = _TOOLS / "axe.js"
    return script.read_text() if script.exists() else None


class Browser:
    """A running Chromium; sends commands and keeps the events of each page."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._ids = itertools.count(1)
        self._rest = b""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Run one command and return its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, method: str, session: str) -> dict[str, Any]:
        """Return the first event of that name, arrived already or still to come."""
        for event in self.events:
            if event["method"] == method and event.get("sessionId") == session:
                return event
        while True:
            event = self._receive()
            self.events.append(event)
            if event.get("method") == method and event.get("sessionId") == session:
                return event

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + 60
        while b"\0" not in self._rest:
            if not select.select([self._back], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("Chromium said nothing for 60 s")
            piece = os.read(self._back, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium went away")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    @contextlib.contextmanager
    def page(
        self, url: str, width: int = 1440, height: int = 900, scheme: str = "light", script: bool = True
    ) -> Iterator["Page"]:
        """Open ``url`` in a page of its own, with or without scripts, and close it again."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        page.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.send("Emulation.setScriptExecutionDisabled", value=not script)
        page.send("Page.navigate", url=url)
        self.wait("Page.loadEventFired", session)
        try:
            yield page
        finally:
            self.send("Target.closeTarget", targetId=target)
            self.events = [event for event in self.events if event.get("sessionId") != session]


class Page:
    """One open page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Run one command of the page."""
        return self._browser.send(method, self._session, **params)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited when it is a promise."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key by its name."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def events(self, method: str) -> list[dict[str, Any]]:
        """Return what the page has reported under that name so far."""
        found = self._browser.events
        return [e["params"] for e in found if e["method"] == method and e.get("sessionId") == self._session]

    def picture(self, path: Path, full: bool = True) -> Path:
        """Write a PNG of the page, all of it or what the window shows."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=full)["data"]
        path.write_bytes(base64.b64decode(data))
        return path


@contextlib.contextmanager
def open_browser(program: Path) -> Iterator[Browser]:
    """Start ``program`` with a profile that is thrown away, and end it."""
    environment = dict(os.environ)
    if program.parent == _TOOLS:
        environment |= {"LD_LIBRARY_PATH": f"{_TOOLS}/lib:{_TOOLS}", "FONTCONFIG_FILE": f"{_TOOLS}/fonts.conf"}
    ours, theirs = zip(_pipe(), _pipe()[::-1], strict=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        running = subprocess.Popen(
            [str(program), *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=lambda: (os.dup2(theirs[0], 3), os.dup2(theirs[1], 4)),  # noqa: PLW1509  (no thread is running)
        )
        for end in theirs:
            os.close(end)
        browser = Browser(ours[0], ours[1])
        try:
            yield browser
        finally:
            with contextlib.suppress(Exception):
                browser.send("Browser.close")
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            for end in ours:
                os.close(end)


def _pipe() -> tuple[int, int]:
    """Return the write and the read end of a pipe, by numbers that are out of the way of 3 and 4."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[1], moved[0]
