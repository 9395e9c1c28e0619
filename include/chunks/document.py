"""Chooses the document that a run works with: the current version, or the last good one while that is broken or gone.

A run reads the document once and hands the version to its tasks, so what happens to the object meanwhile is the next
run's affair. Every good version is kept, with its digest, for the day on which the object is not.
"""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from include.chunks.config import LARGEST_DOCUMENT, Config, ConfigInvalid, parse_config
from include.files import write_atomically

log = logging.getLogger(__name__)

LAST_GOOD = Path("q03") / "last_good.json"  # below data_root, which all workers share
LONGEST_REASON = 600  # characters of the reason that travel in the XCom; the log has all


class ConfigUnreadable(OSError):
    """The object could not be read and no good version is kept; trying again may help."""


class Source(Protocol):
    """Describes what is needed of a path: `ObjectStoragePath`, `pathlib.Path`."""

    def open(self, mode: str = ...) -> AbstractContextManager[Any]:
        """Open it."""


def choose_version(source: Source, data_root: Path) -> dict[str, Any]:
    """Read the document once and say which version is in force.

    :param source: where the document is; its text is its address
    :param data_root: a folder that all workers see, for the last good version
    :returns: {"version": "current" or "last good", "digest": of the document's bytes, "url": where it was read,
        "why": why not the current one, or None, "document": as JSON}, small enough for an XCom
    :raises ConfigInvalid: the document is wrong and no good version is kept
    :raises ConfigUnreadable: it cannot be read and no good version is kept
    """
    kept = data_root / LAST_GOOD
    try:
        data = read_bytes(source)
        config = parse_config(data, str(source))
    except (ConfigInvalid, ConfigUnreadable) as error:
        log.error("%s", error)
        if (good := _last_good(kept)) is None:
            raise type(error)(f"{error}\nNo good version is kept that could stay in force.") from error
        log.error("the last good version stays in force: %s of %s", good["digest"], good["url"])
        why = f"{str(error)[:LONGEST_REASON]}…" if len(str(error)) > LONGEST_REASON else str(error)
        return {"version": "last good", "why": why, **good}
    found = _version(data, str(source), config)
    _keep_last_good(kept, found, data)
    log.info("in force: %s of %s", found["digest"], source)
    return {"version": "current", "why": None, **found}


def read_bytes(source: Source) -> bytes:
    """Read the bytes of the object, at most one more than a document may have.

    :raises ConfigUnreadable: naming the object and the reason
    """
    try:
        with source.open("rb") as stream:
            data: bytes = stream.read(LARGEST_DOCUMENT + 1)
    except Exception as error:  # each file system raises errors of its own library
        reason = "there is no such object" if isinstance(error, FileNotFoundError) else repr(error)
        raise ConfigUnreadable(
            f"{source} cannot be read: {reason}. Put it back, or mend the Variable q03_config"
        ) from error
    return data


def _version(data: bytes, url: str, config: Config) -> dict[str, Any]:
    document = config.model_dump(mode="json", exclude={"schema_"}, exclude_defaults=True)
    digest = f"sha256:{sha256(data).hexdigest()[:16]}"
    return {"digest": digest, "url": url[-200:], "document": document}


def _keep_last_good(kept: Path, found: dict[str, Any], data: bytes) -> None:
    """Make this version the last good one, atomically: a reader sees the old file or the new one, also after a crash."""
    content = json.dumps({"digest": found["digest"], "url": found["url"], "document": data.decode()}, indent=2)
    write_atomically(kept, content, durable=True)  # of mode 0644: another worker may run as another user


def _last_good(kept: Path) -> dict[str, Any] | None:
    """Read the version that is kept; None when there is none, or when the file no longer is what its digest says."""
    try:
        record = json.loads(kept.read_text(encoding="utf-8"))
        data = record["document"].encode()
        found = _version(data, record["url"], parse_config(data, str(kept)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("%s is damaged and of no use: %s", kept, error)
        return None
    if found["digest"] != record["digest"]:
        log.error("%s is damaged and of no use: its digest is %s, not %s", kept, found["digest"], record["digest"])
        return None
    return found
