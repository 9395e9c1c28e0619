"""Headless Chromium as a reader of Airflow's UI: signs in, looks into the frame of the Answers page, types, takes pictures."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.browser import BrowserMissing, Page, browser
from support import PROJECT, wait_for

REQUIRED = "ANSWERS_REQUIRE_BROWSER"
PICTURES = PROJECT / "results" / "page"
LOAD = 30  # seconds until a page shows what it is to show
# The document of the Answers page: Airflow's frame of it, or the page itself where it stands alone.
INSIDE = "(document.querySelector('iframe') ? document.querySelector('iframe').contentDocument : document)"


class Reader:
    """A person with a browser.

    :param url: of the API server, with the path that it is served below.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        for domain in ("Network", "Runtime", "Log", "Page"):
            page.call(f"{domain}.enable")

    def js(self, expression: str) -> Any:
        """Evaluate an expression in Airflow's page; `doc` is the document of the Answers page."""
        code = f"(() => {{ const doc = {INSIDE}; return {expression}; }})()"
        answer = self.page.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, expression: str, what: str = "") -> Any:
        """Wait until an expression is true; returns it."""

        def true() -> Any:
            try:
                return self.js(f"doc && {expression}")
            except RuntimeError:  # the page is just going to another address
                return None

        return wait_for(what or expression, true, LOAD, seen=lambda: self.report("waited"))

    def sign_in(self, password: str) -> None:
        """Fill in Airflow's form."""
        self.open("/")
        self.wait("document.querySelector('input[name=username]')?.name", "Airflow's form")
        for name, text in (("username", "admin"), ("password", password)):
            self.js(f"document.querySelector('input[name={name}]').focus()")
            self.page.call("Input.insertText", text=text)
        self.key("Enter")
        self.wait("!location.pathname.includes('/login')", "the sign-in")

    def open(self, path: str) -> None:
        """Open an address of the API server."""
        self.page.call("Page.navigate", url=f"{self.url}{path}")

    def answers(self, query: str = "", alone: bool = False) -> None:
        """Open the Answers page in Airflow, or by itself, and wait for its question."""
        prefix = urlsplit(self.url).path
        self.open(f"/answers/{query}" if alone else f"/plugin/answers{prefix}/answers/{query}")
        self.wait("doc.querySelector('#claims')?.id", f"a question at {query}")

    def key(self, name: str) -> None:
        """Press a key."""
        text = {"Enter": "\r", "Space": " "}.get(name)
        key = " " if name == "Space" else name
        codes = {"Enter": 13, "Tab": 9, "Space": 32}
        about = {"key": key, "code": name, "windowsVirtualKeyCode": codes[name]} | ({"text": text} if text else {})
        self.page.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.page.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def text(self, selector: str = "main") -> str:
        """Return what a part of the Answers page shows."""
        return self.js(f"doc.querySelector({json.dumps(selector)}).innerText")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the browser another window."""
        self.page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def dark(self, on: bool) -> None:
        """Switch Airflow's theme, and wait until the page has followed."""
        self.js(f"document.documentElement.classList.toggle('dark', {json.dumps(on)})")
        self.js(f"document.documentElement.classList.toggle('light', {json.dumps(not on)})")
        self.wait(f"doc.documentElement.classList.contains('dark') === {json.dumps(on)}", "the theme")

    def picture(self, name: str) -> Path:
        """Keep a picture for CI's artefacts."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        file = PICTURES / f"{name}.png"
        self.page.picture(file)
        return file

    def report(self, name: str = "failed") -> str:
        """Keep what there is to see of a failure: a picture, where it was taken, the console, the requests."""
        try:
            shown = {"address": self.js("location.href"), "frame": self.js("doc && doc.location.href")}
            shown |= {"text": self.js("(doc || document).body.innerText")}
        except (AssertionError, RuntimeError) as error:
            shown = {"error": str(error)}
        self.picture(name)
        (PICTURES / f"{name}.json").write_text(json.dumps(shown | {"events": self.page.events}, indent=1))
        return f"{shown}"[:2000]

    def troubles(self) -> list[str]:
        """Return errors of the console and failed requests of the page's own addresses, so far."""
        found = []
        for event in self.page.events:
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(told["exceptionDetails"].get("exception", {}).get("description", "an exception"))
            if event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
                where = told["entry"].get("url", "")
                found += [f"{told['entry']['text']} {where}"] if "/answers" in where else []
            if event["method"] == "Network.responseReceived":
                answer = told["response"]
                if "/answers/" in answer["url"] and answer["status"] >= 400:
                    found.append(f"{answer['status']} {answer['url']}")
        return found

    def hosts(self) -> set[str]:
        """Return the hosts that the page's own frame has asked, so far."""
        asked = [event["params"] for event in self.page.events if event["method"] == "Network.requestWillBeSent"]
        ours = [
            each["request"]["url"] for each in asked if "/answers/" in each.get("documentURL", "").partition("?")[0]
        ]
        return {urlsplit(url).netloc for url in ours if not url.startswith("data:")}

    def _context(self) -> int:
        """Return where the scripts of the Answers page run, in Airflow's frame or alone."""
        tree = self.page.call("Page.getFrameTree")["frameTree"]
        frame = next(iter(tree.get("childFrames", [])), tree)["frame"]["id"]
        made = [event["params"] for event in self.page.events if event["method"].startswith("Runtime.executionContext")]
        gone = {each.get("executionContextId") for each in made}
        known = [each["context"] for each in made if "context" in each]
        return next(
            each["id"]
            for each in reversed(known)
            if each["id"] not in gone and each["auxData"]["frameId"] == frame and each["auxData"]["isDefault"]
        )

    def serious(self) -> list[str]:
        """Return what axe finds in the Answers page: rules that are broken seriously, with the place."""
        script = next(file for file in files("axe-playwright-python") or [] if file.name == "axe.min.js")
        inside = self._context()
        if not self.page.call("Runtime.evaluate", expression="!!window.axe", contextId=inside)["result"]["value"]:
            # By the browser's own protocol: the page's policy lets no script in.
            source = Path(str(script.locate())).read_text(encoding="utf-8")
            self.page.call("Runtime.evaluate", expression=source, contextId=inside)
        code = "axe.run().then((all) => all.violations)"
        answer = self.page.call(
            "Runtime.evaluate", expression=code, contextId=inside, returnByValue=True, awaitPromise=True
        )
        found = answer["result"]["value"]
        return [
            f"{rule['id']}: {node['target']} {node['failureSummary']}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]


@contextmanager
def reader(url: str, width: int = 1280, height: int = 900) -> Iterator[Reader]:
    """Open a browser. Without one on this machine the test is skipped; it fails where CI promises one."""
    try:
        with browser(width, height) as page:
            found = Reader(page, url)
            try:
                yield found
            except BaseException:
                found.report()
                raise
    except BrowserMissing as error:
        if os.environ.get(REQUIRED) == "1":
            raise
        pytest.skip(str(error))
