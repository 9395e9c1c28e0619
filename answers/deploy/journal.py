"""Records each step of a deploy on the disk before the next one begins, so that a killed deploy can be finished or undone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.files import exclusive_lock

ENDS = ("done", "rolled-back", "given-up")


class JournalLocked(RuntimeError):
    """Another deploy holds the lock."""

    def __init__(self, holder: str) -> None:
        holder = holder or "another process"
        super().__init__(f"{holder} deploys at this moment: wait for it, or see `answers deploy --status`")


@dataclass
class State:
    """A deploy as the journal tells it."""

    id: str
    tag: str
    old: str
    new: str
    options: dict[str, Any]
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last entry of each step."""
    paused: list[str] = field(default_factory=list)
    """The DAGs that the deploy has paused, or was about to, and not resumed."""
    missed: dict[str, list[str]] = field(default_factory=dict)
    """The DAGs that were given, when they were resumed, events which they had missed: DAG -> how many of which asset."""
    at: str = ""

    @property
    def end(self) -> str | None:
        """Return how it ended; None if it has not."""
        return next((step for step in ENDS if step in self.steps), None)


class Journal:
    """The journal in a folder. Write only while `locked`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "journal.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that keeps two deploys apart. It ends with the process, however that ends.

        :raises JournalLocked: another process holds it
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with exclusive_lock(self.folder / "lock", JournalLocked, f"process {os.getpid()}"):
            self._drop_cut_off_line()
            yield

    def write(self, deploy: str, step: str, **fields: Any) -> None:
        """Add a step, and return once it is on the disk."""
        entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "deploy": deploy, "step": step, **fields}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Return every entry, the oldest first. A last line that a crash cut off does not count."""
        try:
            lines = self.file.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines[:-1]]

    def deploys(self) -> list[State]:
        """Return every deploy, the oldest first."""
        found: dict[str, State] = {}
        for entry in self.entries():
            step = entry["step"]
            if step == "begin":
                found[entry["deploy"]] = State(
                    entry["deploy"], entry["tag"], entry["old"], entry["new"], entry["options"], at=entry["at"]
                )
            state = found[entry["deploy"]]
            state.steps[step] = entry
            if step == "pausing" and entry["dag"] not in state.paused:
                state.paused.append(entry["dag"])
            elif step == "resumed" and entry["dag"] in state.paused:
                state.paused.remove(entry["dag"])
            if entry.get("missed"):
                state.missed[entry["dag"]] = entry["missed"]
        return list(found.values())

    def unfinished(self) -> State | None:
        """Return the deploy that has neither ended well nor been undone."""
        return next((state for state in self.deploys() if state.end is None), None)

    def _drop_cut_off_line(self) -> None:
        """Cut off a line that a crash left incomplete, so that the next one does not run into it."""
        if self.file.exists() and (content := self.file.read_bytes()) and not content.endswith(b"\n"):
            with self.file.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
