"""Speaks to Airflow's REST API: signs in, waits out a short absence, reads page by page, and says what went wrong."""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urlencode

import httpx

from answers.stack.lifecycle import work_under_way
from answers.stack.parts import supervisor_state
from answers.stack.settings import Settings
from include.waiting import Deadline

RESTART = 3  # seconds for which supervisor calls a part stopped that a deploy restarts
PAGE = 100  # records at a time; the API gives no more, whatever it is asked for


class ApiError(RuntimeError):
    """The REST API refused or does not answer. The text says what to do.

    :param status: the HTTP status of the answer; None where there was no answer
    :param detail: the reason that the answer gave
    """

    def __init__(self, text: str, status: int | None = None, detail: str = "") -> None:
        super().__init__(text)
        self.status, self.detail = status, detail


class Rest:
    """Speaks to one Airflow. Addresses and password: ANSWERS_API_URL and ANSWERS_API_PASSWORD, else the embedded stack's.

    :raises ApiError: with the remedy, from every method
    """

    def __init__(self, url: str | None = None, password: str | None = None) -> None:
        self._stack: Settings | None = None  # the embedded stack, where its address is the one
        url = url or os.environ.get("ANSWERS_API_URL")
        password = password or os.environ.get("ANSWERS_API_PASSWORD")
        if not url or not password:
            settings = Settings.load()
            if not settings.ports:
                raise ApiError("the stack has never been started: run `answers up`")
            self._stack = None if url else settings
            url, password = url or settings.url, password or settings.secrets["ADMIN_PASSWORD"]
        self.url = url.rstrip("/")
        self._password = password
        # A proxy of the environment has no way to this machine's loopback.
        self._http = httpx.Client(base_url=self.url, timeout=60, trust_env="//127.0.0.1" not in self.url)

    def request(
        self, method: str, path: str, expect: tuple[int, ...] = (200, 201), api: str = "/api/v2", **kwargs: Any
    ) -> httpx.Response:
        """Send one request, signed in. Waits out a short absence of the API (it may be restarting), not that of a stopped stack.

        :param api: where `path` begins; the UI's own addresses are below /ui
        """
        deadline, restarted, fresh = Deadline(60), Deadline(RESTART), False
        while True:
            try:
                if "Authorization" not in self._http.headers:
                    self._sign_in()
                    fresh = True
                answer = self._http.request(method, f"{api}{path}", **kwargs)
            except httpx.TransportError as error:
                # Reads can be repeated; a write may have been carried out before the answer was lost.
                if method == "GET" and not deadline.passed() and not (restarted.passed() and self._is_stopped()):
                    time.sleep(0.5)
                    continue
                raise ApiError(f"{self.url} does not answer ({error}): is the stack up? `answers status`") from error
            if answer.status_code == 401 and not fresh:
                del self._http.headers["Authorization"]  # the token has expired
                continue
            if answer.status_code not in expect:
                raise _refusal(f"{method} {path}", answer)
            return answer

    def _is_stopped(self) -> bool:
        """Tell whether this is the embedded stack, its API server is not to run, and no command is about to start it."""
        if self._stack is None or work_under_way(self._stack) == "starting":
            return False
        return supervisor_state(self._stack, "api-server") in (None, "STOPPED", "EXITED", "FATAL")

    def _sign_in(self) -> None:
        answer = self._http.post("/auth/token", json={"username": "admin", "password": self._password})
        if answer.status_code not in (200, 201):
            raise _refusal(f"signing in to {self.url}", answer)
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def pages(self, path: str, key: str, api: str = "/api/v2", **where: Any) -> list[dict[str, Any]]:
        """Read every record that GET `path` has under `key`, page by page.

        :param where: the query; a list gives its name once for each value
        """
        records: list[dict[str, Any]] = []
        if where:
            path = f"{path}?{urlencode(where, doseq=True)}"
        joint = "&" if "?" in path else "?"
        while True:
            page = self.request("GET", f"{path}{joint}limit={PAGE}&offset={len(records)}", api=api).json()
            records += page[key]
            if not page[key] or len(records) >= page["total_entries"]:
                return records

    def listed(self, path: str, key: str, **where: Any) -> list[dict[str, Any]]:
        """Read every record that POST `path` has under `key`, page by page. `where` is the body: a filter."""
        records: list[dict[str, Any]] = []
        while True:
            body = {**where, "page_limit": PAGE, "page_offset": len(records)}
            page = self.request("POST", path, json=body).json()
            records += page[key]
            if not page[key] or len(records) >= page["total_entries"]:
                return records


def _refusal(what: str, answer: httpx.Response) -> ApiError:
    detail = _detail(answer)
    return ApiError(f"{what} was answered {answer.status_code}: {detail}", answer.status_code, detail)


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
    return detail if isinstance(detail, str) else str(detail)
