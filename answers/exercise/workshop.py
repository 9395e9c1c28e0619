"""Makes the folders of a check, and what a proof keeps between its checks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from answers.exercise.probing import Rooms
from answers.exercise.warm import Warm


@dataclass(frozen=True)
class Workshop:
    """Serves checks of one ticket, one after the other: folders of the same name, and processes that need no preparation."""

    folder: Path
    probe: Warm
    judge: Warm


@contextmanager
def scratch(folder: Path | None = None) -> Iterator[Rooms]:
    """Make the folders of one check, and remove them with all that is in them."""
    if folder:
        folder.mkdir()
    else:
        folder = Path(tempfile.mkdtemp(prefix="answers-check-"))
    try:
        yield Rooms(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
