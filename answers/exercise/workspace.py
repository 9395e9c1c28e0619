"""Makes and finds working copies, and keeps what a candidate did in them: snapshots as commits beside the branch."""

from __future__ import annotations

import base64
import json
import re
import secrets
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from answers.checkout import EXERCISE
from answers.exercise.catalogue import ExerciseError, Ticket
from answers.exercise.changes import git
from answers.exercise.check import lay_overlay
from answers.proof.copies import CopyError, hand_out
from include.files import exclusive_lock, write_atomically

START = "refs/answers/start"
CHECKS = "refs/answers/checks/"
RESETS = "refs/answers/before-reset/"


@dataclass(frozen=True)
class Workspace:
    """Holds a working copy: its folder, and what .answers/exercise.json says."""

    folder: Path
    note: dict[str, Any]

    @property
    def ticket_id(self) -> str:
        """Return the ticket's id; `fault` for an exercise that `answers prove --apply` has made."""
        return str(self.note.get("ticket", "fault"))

    @property
    def minutes_used(self) -> float:
        """Return the minutes since it was handed out, by this machine's clock; of a submission, what it tells."""
        if "minutes_told" in self.note:
            return float(self.note["minutes_told"])
        return (datetime.now(UTC) - datetime.fromisoformat(self.note["started_at"])).total_seconds() / 60

    def change(self, **values: Any) -> Workspace:
        """Note something, and return the workspace with it."""
        note = self.note | values
        write_atomically(self.folder / EXERCISE, json.dumps(note, indent=2) + "\n")
        return Workspace(self.folder, note)


def start(
    root: Path, ticket: Ticket, number: int, target: Path, minutes: int, practice: bool = False, lend: bool = True
) -> Workspace:
    """Hand out a ticket.

    :param root: the kit's checkout.
    :param number: of the variant.
    :param target: a folder that is empty or missing.
    :param practice: alone and in the open: solutions may be shown.
    :param lend: the copy borrows this checkout's packages.
    :raises ExerciseError: the copy cannot be made.
    """
    about = {
        "kind": "ticket",
        "ticket": ticket.id,
        "question": ticket.exercise.question,
        "variant": number,
        "level": ticket.exercise.level,
        "minutes": minutes,
        "mode": "practice" if practice else "pairing" if lend else "take-home",
        "token": secrets.token_hex(8),
        "hints": ticket.opaque_hints(),
        "hints_used": [],
    }
    try:
        hand_out(root, target, ticket.story(number), lambda copy: lay_overlay(ticket, copy), about, lend)
    except CopyError as error:
        raise ExerciseError(str(error)) from error
    return begin(target, {"kit": None} if not lend else {})


def begin(folder: Path, values: dict[str, Any]) -> Workspace:
    """Note the first commit of a copy, so that it is found whatever happens to the branch."""
    commit = git(folder, "rev-parse", "HEAD").decode().strip()
    git(folder, "update-ref", START, commit)
    return find(folder).change(start=commit, **values)


def find(folder: Path) -> Workspace:
    """Find the working copy that a folder lies in.

    :raises ExerciseError: there is none, or its note cannot be read.
    """
    here = folder.absolute()
    for candidate in (here, *here.parents):
        file = candidate / EXERCISE
        if file.is_file():
            try:
                return Workspace(candidate, json.loads(file.read_text(encoding="utf-8")))
            except ValueError as error:
                raise ExerciseError(f"{file} is no JSON: {error}") from error
    raise ExerciseError(f"{here} is not in a working copy: `answers exercise start ID --to DIR` makes one")


def start_commit(workspace: Workspace) -> str:
    """Return the commit that the candidate began with.

    :raises ExerciseError: it is gone.
    """
    wanted = str(workspace.note.get("start") or START)
    if not re.fullmatch(r"[0-9a-f]{40}|refs/answers/start", wanted):
        raise ExerciseError(f"{EXERCISE}: start: {wanted!r} is no commit")
    try:
        return git(workspace.folder, "rev-parse", "--verify", f"{wanted}^{{commit}}").decode().strip()
    except ExerciseError as error:
        raise ExerciseError(
            f"the commit Start is not in {workspace.folder}: was .git removed? Start anew, and copy your files over"
        ) from error


def snapshot(workspace: Workspace, kind: str = CHECKS) -> tuple[int, str]:
    """Keep the files as they are now as a commit of its own. Branch, index and stash stay as they are.

    :returns: its number among those of its kind, counted from 1, and the commit.
    """
    parent = start_commit(workspace)
    with tempfile.TemporaryDirectory(prefix="answers-index-") as folder:
        index = Path(folder, "index")
        git(workspace.folder, "read-tree", parent, index=index)
        git(workspace.folder, "add", "--all", index=index)
        tree = git(workspace.folder, "write-tree", index=index).decode().strip()
    number = len(snapshots(workspace, kind)) + 1
    message = f"{kind.split('/')[2]} {number}"
    commit = git(workspace.folder, "commit-tree", tree, "-p", parent, "-m", message, author=True).decode().strip()
    git(workspace.folder, "update-ref", f"{kind}{number}", commit, "0" * 40)
    return number, commit


def snapshots(workspace: Workspace, kind: str = CHECKS) -> list[str]:
    """List the commits that were kept, the first one first."""
    listed = git(workspace.folder, "for-each-ref", "--format=%(refname) %(objectname)", kind).decode().split()
    pairs = sorted(zip(listed[0::2], listed[1::2], strict=True), key=lambda pair: int(pair[0].rpartition("/")[2]))
    return [commit for _, commit in pairs]


def reset(workspace: Workspace, files: list[str]) -> tuple[str, list[str]]:
    """Put files, or all of them, back to Start. What was there is kept first.

    :returns: the name under which it is kept, and the files that were put back.
    :raises ExerciseError: a file is not in Start and not in the copy.
    """
    start_at = start_commit(workspace)
    number, commit = snapshot(workspace, RESETS)
    raw = git(workspace.folder, "diff", "--name-only", "-z", "--no-renames", start_at, commit, "--", *files).decode()
    changed = [name for name in raw.split("\0") if name]
    known = git(workspace.folder, "ls-tree", "-r", "--name-only", "-z", start_at).decode().split("\0")
    for file in files:
        if not any(name == file or name.startswith(f"{file.rstrip('/')}/") for name in [*known, *changed]):
            raise ExerciseError(f"{file} is not in the copy: name files as `git status` in {workspace.folder} does")
    for name in changed:
        if name in known:
            git(workspace.folder, "checkout", start_at, "--", name)
        else:
            (workspace.folder / name).unlink(missing_ok=True)
            git(workspace.folder, "rm", "--cached", "--quiet", "--ignore-unmatch", "--", name)
    return f"{RESETS}{number}", changed


@contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Keep a second check of the same copy out for as long as the block lasts.

    :raises ExerciseError: there is one.
    """
    file = workspace.folder / ".answers" / "check.lock"
    file.parent.mkdir(exist_ok=True)
    refused = ExerciseError(f"another check of {workspace.folder} is at work: wait for it, or end it")
    with exclusive_lock(file, lambda _: refused):
        yield


def next_hint(workspace: Workspace) -> tuple[Workspace, int, str]:
    """Return the next hint, noted as used; the last one again after that.

    :returns: the workspace, the hint's number, its text.
    :raises ExerciseError: the copy has none.
    """
    hints, used = workspace.note.get("hints") or [], list(workspace.note.get("hints_used") or [])
    if not hints:
        raise ExerciseError("this exercise has no hints")
    number = min(len(used), len(hints) - 1)
    if len(used) < len(hints):
        used.append({"hint": number + 1, "minute": round(workspace.minutes_used, 1)})
        workspace = workspace.change(hints_used=used)
    return workspace, number + 1, base64.b64decode(hints[number]).decode()


def pack(folder: Path, archive: Path) -> None:
    """Pack a working copy for a take-home, without its environment.

    :raises ExerciseError: the archive exists, or cannot be written.
    """
    try:
        with archive.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            tar.add(folder, arcname=folder.name, filter=lambda item: None if "/.venv" in item.name else item)
    except OSError as error:
        raise ExerciseError(f"{archive} cannot be written: {error.strerror}") from error
