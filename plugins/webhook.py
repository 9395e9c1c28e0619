"""The receiver behind an HTTP connection, as a function: what plain Python is given instead of a hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Connection

PATIENCE = 10.0  # seconds for an answer


def poster(connection: Connection) -> Callable[[str, dict[str, Any]], None]:
    """A function (path, body) that posts JSON there.

    It raises ConnectionError where nobody answers, or the answer is an error.
    """
    import httpx

    def post(path: str, body: dict[str, Any]) -> None:
        try:
            address = f"http://{connection.host}:{connection.port}{path}"
            httpx.post(address, json=body, timeout=PATIENCE).raise_for_status()
        except httpx.HTTPStatusError as error:
            raise ConnectionError(f"answer {error.response.status_code}") from error
        except httpx.TransportError as error:
            raise ConnectionError(f"no answer: {error}") from error

    return post
