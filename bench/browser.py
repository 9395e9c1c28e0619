"""Drives headless Chromium by its own protocol: opens a page, waits until it shows something, takes its picture."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from include.waiting import wait_until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 180  # seconds for a page to show what it is to show


class BrowserMissing(RuntimeError):
    """There is no Chromium on this machine. The text says how to install it."""


class Page:
    """One page of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._calls = socket, 0
        self.events: list[dict[str, Any]] = []  # what the browser told unasked, oldest first

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser, by a method of the Chrome DevTools Protocol.

        :raises RuntimeError: it refuses
        """
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if "id" not in answer:
                self.events.append(answer)
            if answer.get("id") == self._calls:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def text(self, document: str = "document") -> str:
        """Return what a document of the page shows, as text: its own, or that of a frame, by an expression."""
        result = self.call("Runtime.evaluate", expression=f"{document}?.body?.innerText || ''")["result"]
        return str(result["value"])

    def show(self, address: str, wanted: list[str], document: str = "document") -> str:
        """Open an address and wait until a document of the page shows all that is wanted. Returns its text.

        :raises TimeoutError: naming what is missing
        """
        self.call("Page.navigate", url=address)

        def missing() -> list[str]:
            return [words for words in wanted if words not in self.text(document)]

        wait_until(lambda: not missing(), PATIENCE, f"{address} to show all", detail=missing, error=TimeoutError)
        return self.text(document)

    def picture(self, file: Path) -> None:
        """Write what the page shows to a PNG file."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(width: int, height: int) -> Iterator[Page]:
    """Open a page of these pixels in a browser that keeps nothing.

    :raises BrowserMissing: there is no Chromium
    """
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise BrowserMissing("there is no Chromium: install it (Debian: `apt install chromium`), then run again")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--hide-scrollbars", "--lang=en"]
        flags += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]
        flags += [f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
        process = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = _port(process, Path(profile) / "DevToolsActivePort")
            pages = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
            address = next(each["webSocketDebuggerUrl"] for each in pages if each["type"] == "page")
            with connect(address, max_size=None, proxy=None) as socket:
                page = Page(socket)
                # The window's size counts a frame that headless has, too.
                page.call(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
                )
                page.call("Emulation.setTimezoneOverride", timezoneId="UTC")
                yield page
        finally:
            process.terminate()
            process.wait(30)


def _port(process: subprocess.Popen, file: Path) -> str:
    def started() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} does not start: try it by hand")  # type: ignore[index]
        return file.exists() and "\n" in file.read_text()

    wait_until(started, PATIENCE, "the browser", error=RuntimeError)
    return file.read_text().splitlines()[0]
