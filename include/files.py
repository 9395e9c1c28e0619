"""Writes files in one step, so that a reader sees the old file or the new one, also after a crash. Locks files."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from include.waiting import poll


def user_cache() -> Path:
    """Return the project's folder in the user's cache, outside of any checkout. It may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-answers"


@contextmanager
def atomic_replacement(file: Path, mode: int = 0o644) -> Iterator[Path]:
    """Give a path beside `file` to write to. It takes the place of `file` at the end, and is gone after an error.

    Makes the folder where it is missing. Whoever else writes the same file at the same time has a path of its own.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
    os.fchmod(descriptor, mode)  # before there is anything to read; mkstemp makes it 0600
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(file: Path, content: str, mode: int = 0o644, durable: bool = False) -> None:
    """Write a text in one step.

    :param mode: of the file; 0o600 where it holds a secret
    :param durable: return once it is on the disk, so that a crash of the machine does not lose it
    :raises OSError: it cannot be written; what was there before is as it was
    """
    with atomic_replacement(file, mode) as part, part.open("w", encoding="utf-8") as stream:
        stream.write(content)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())


def package_folder(name: str) -> Path | None:
    """Find the folder of an installed package without importing it; None where it is not installed."""
    spec = find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def lock_note(file: Path) -> str | None:
    """Return what the process that holds the lock of a file has written into it; None where nobody holds it."""
    with suppress(FileNotFoundError), file.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return stream.read()
    return None


@contextmanager
def exclusive_lock(
    file: Path, error_if_taken: Callable[[str], BaseException], note: str | None = None, seconds: float = 0
) -> Iterator[TextIO]:
    """Hold the lock of a file for the block. It ends with the process, however that ends. Makes the file where it is missing.

    :param error_if_taken: makes the error where another process holds the lock, from what that one has written into the file
    :param note: is written into the file, for those who find it locked; None leaves the content as it is
    :param seconds: to wait for the lock
    :returns: the open file; a child process that inherits it holds the lock, too
    """
    with file.open("a+", encoding="utf-8") as stream:
        for _ in poll(seconds, 0.01):
            with suppress(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        else:
            stream.seek(0)
            raise error_if_taken(stream.read().strip())
        if note is not None:
            stream.truncate(0)
            stream.write(note)
            stream.flush()
        yield stream
