"""Looks at a feed that somebody else delivers, at an HTTP address or in an object store, and tells late from broken.

| answer | means |
|---|---|
| 404; no such object; an empty file | not there yet: it is late, look again |
| 408, 425, 429, 5xx; no connection; no answer in time | the other side is unwell: look again, after `Retry-After` if it says so |
| 401, 403, 410, any other 4xx; no permission | broken: waiting cannot help |
| another first line than the expected one, e.g. of a sign-in page | broken |
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import httpx

from include.errors import PermanentError

LONGEST_LOOK = 10.0  # seconds for one look
MOST_READ = 1 << 16  # bytes; the first line is shorter
RETRIED_STATUSES = {408, 425, 429}  # and 5xx
logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it writes whole addresses, with what is secret in them


class FeedBroken(PermanentError, ValueError):
    """The feed is there but wrong, or it is refused: waiting cannot help."""


@dataclass(frozen=True)
class Look:
    """Holds the result of one look. `again_after`: seconds that the other side asks to wait."""

    there: bool
    found: str
    again_after: float = 0.0


def without_secrets(feed: str) -> str:
    """Return the address without what may be secret: user, password, query and fragment."""
    url = urlsplit(feed)
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


def pause_after(looks: int, first: float, longest: float) -> float:
    """Return the seconds to wait after `looks` looks: they double from `first` to `longest`, of it a random half to all.

    The randomness keeps sensors that began together from asking together for ever.
    """
    return min(longest, first * 2.0 ** min(looks - 1, 60)) * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)


async def look_once(feed: str, first_line: str | None = None, patience: float = LONGEST_LOOK) -> Look:
    """Look once, without blocking the event loop.

    :param feed: http://, https://, or what ObjectStoragePath takes: file://, s3://, gs://, a path
    :param first_line: what the feed must begin with, e.g. the header of a CSV file
    :param patience: seconds for this look
    :raises FeedBroken: saying what is wrong
    """
    try:
        async with asyncio.timeout(patience):
            if feed.startswith(("http://", "https://")):
                status, again_after, start = await _request_start(feed)
            else:
                status, again_after, start = 200, 0.0, await asyncio.to_thread(_read_start, feed)
    except TimeoutError:
        return Look(False, f"no answer in {patience:g} s")
    except (FileNotFoundError, httpx.TransportError) as error:
        return Look(False, _without_address(error))
    except (PermissionError, IsADirectoryError, NotADirectoryError, httpx.InvalidURL, ValueError) as error:
        raise FeedBroken(_without_address(error)) from None
    except OSError as error:
        return Look(False, _without_address(error))
    if _may_still_come(status):
        return Look(False, f"answer {status}", again_after)
    if status != 200:
        raise FeedBroken(f"answer {status}")
    if not start:
        return Look(False, "empty")
    begins = start.removeprefix(b"\xef\xbb\xbf").splitlines()[0].decode(errors="replace").strip()
    if first_line is not None and begins != first_line:
        raise FeedBroken(f"the first line should be {first_line!r}, is {begins[:80]!r}")
    return Look(True, f"begins with {begins[:80]!r}")


def read_feed(feed: str) -> str:
    """Read the whole feed as text, for a task.

    :raises FeedBroken: it is refused; :raises OSError: it is not there, or the other side is unwell (worth a retry)
    """
    if not feed.startswith(("http://", "https://")):
        from airflow.sdk import ObjectStoragePath

        return str(ObjectStoragePath(feed).read_text())
    try:
        answer = httpx.get(feed, timeout=30, follow_redirects=True)
    except httpx.TransportError as error:
        raise OSError(f"{without_secrets(feed)}: {_without_address(error)}") from None
    if _may_still_come(answer.status_code):
        raise OSError(f"{without_secrets(feed)}: answer {answer.status_code}")
    if answer.status_code != 200:
        raise FeedBroken(f"{without_secrets(feed)}: answer {answer.status_code}")
    return answer.text


def _may_still_come(status: int) -> bool:
    """Tell whether looking again can help after this answer."""
    return status == 404 or status in RETRIED_STATUSES or status >= 500


async def _request_start(feed: str) -> tuple[int, float, bytes]:
    tls = await asyncio.to_thread(_tls)  # reading the certificates takes a while
    async with httpx.AsyncClient(follow_redirects=True, verify=tls) as http, http.stream("GET", feed) as answer:
        start = b""
        if answer.status_code == 200:
            async for chunk in answer.aiter_bytes():
                start += chunk
                if b"\n" in start or len(start) > MOST_READ:
                    break
        wanted = answer.headers.get("Retry-After", "")
        return answer.status_code, float(wanted) if wanted.isdigit() else 0.0, start


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _read_start(feed: str) -> bytes:
    from airflow.sdk import ObjectStoragePath

    with ObjectStoragePath(feed).open("rb") as file:
        return bytes(file.read(MOST_READ))


def _without_address(error: Exception) -> str:
    """Put the error into words; those of a library may repeat the address, and what is secret in it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
