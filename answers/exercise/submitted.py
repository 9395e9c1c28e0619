"""Packs a candidate's work into one file, and takes such a file in: a stranger's, which may hold anything."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from answers.exercise import confine, workspace
from answers.exercise.catalogue import ExerciseError
from answers.exercise.changes import git
from answers.exercise.workspace import CHECKS, START, Workspace
from include.documents import DocumentError, Strict, error_lines, read_json

SUBMITTED = "refs/answers/submitted"
KEPT = ".answers/submissions"  # in the kit's checkout, by the token of the copy
LARGEST = 50 << 20  # bytes of a submission
LARGEST_NOTE = 64 << 10
TOLD = ("ticket", "kind", "variant", "level", "minutes", "token", "hints_used", "salt", "fault")


def pack(opened: Workspace, target: Path | None) -> tuple[Path, list[str]]:
    """Write the work as it is now into a Git bundle, with the snapshots of earlier checks.

    :returns: the file, and the paths that have changed.
    :raises ExerciseError: the file exists.
    """
    name = f"{opened.note.get('ticket', 'fault')}-{str(opened.note.get('token', ''))[:8]}.bundle"
    file = (target or opened.folder.parent / name).absolute()
    if file.exists():
        raise ExerciseError(f"{file} exists: name another with --to")
    start, (_, commit) = workspace.start_commit(opened), workspace.snapshot(opened, "refs/answers/submissions/")
    note = {key: opened.note.get(key) for key in TOLD} | {"kit_commit": opened.note.get("kit_commit"), "start": start}
    told = json.dumps(note | {"minutes_told": round(opened.minutes_used, 1)})
    tree = f"{commit}^{{tree}}"
    packed = git(opened.folder, "commit-tree", tree, "-p", start, "-m", told, author=True).decode().strip()
    git(opened.folder, "update-ref", SUBMITTED, packed)
    git(opened.folder, "update-ref", START, start)
    git(opened.folder, "bundle", "create", "--quiet", str(file), START, SUBMITTED, f"--glob={CHECKS}*")
    changed = git(opened.folder, "diff", "--name-status", "--no-renames", start, packed).decode().splitlines()
    return file, changed


def take_in(root: Path, file: Path) -> Workspace:
    """Unpack a submission into a bare repository in the kit. No file of it is written as a file, no setting of it is used.

    :raises ExerciseError: it is no submission, it is too large, or this machine cannot confine what it runs.
    """
    if not confine.is_complete():
        raise ExerciseError(
            "a submission is a stranger's code, and this machine cannot confine it (Linux 5.13 or later with Landlock can): "
            "check it in a container or a virtual machine that has nothing of yours"
        )
    if not file.is_file():
        raise ExerciseError(f"{file}: there is no such file")
    if file.stat().st_size > LARGEST:
        raise ExerciseError(f"{file} has {file.stat().st_size >> 20} MB: a submission has at most {LARGEST >> 20}")
    with tempfile.TemporaryDirectory(prefix="answers-incoming-") as folder:  # what is refused leaves nothing
        _fetch(Path(folder), file.absolute())
        note = _note(git(Path(folder), "log", "-1", "--format=%B", f"{SUBMITTED}^{{commit}}"))
        start = git(Path(folder), "rev-parse", "--verify", f"{START}^{{commit}}").decode().strip()
    target = root / KEPT / note["token"]
    _fetch(target, file.absolute())
    about = note | {"start": start, "kit": str(root), "submission": str(file), "mode": "submission"}
    exercise = target / ".answers" / "exercise.json"
    exercise.parent.mkdir(exist_ok=True)
    exercise.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return Workspace(target, about)


def _fetch(folder: Path, file: Path) -> None:
    """Fetch all that a bundle has into a bare repository, checked object by object."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "HEAD").exists():
        git(folder, "init", "--quiet", "--bare", "--template=")
    checked = ("-c", "fetch.fsckObjects=true", "-c", "protocol.file.allow=always", "-c", "gc.auto=0")
    try:
        git(
            folder,
            *checked,
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
            str(file),
            "+refs/answers/*:refs/answers/*",
        )
        # Refuses ".." and ".git" in a tree, too.
        git(folder, "fsck", "--strict", "--no-progress", "--no-dangling", START, SUBMITTED)
    except ExerciseError as error:
        raise ExerciseError(f"{file} is no submission: {str(error).splitlines()[-1]}") from error


class _Hint(Strict):
    hint: int
    minute: float


class _Note(Strict):
    """Holds what a copy says of itself: a stranger's word."""

    model_config = ConfigDict(extra="ignore")

    ticket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,80}$")]
    kind: Literal["ticket", "fault"]
    variant: Annotated[int, Field(ge=1, le=99)]
    level: Annotated[int, Field(ge=1, le=600)]
    minutes: Annotated[int, Field(ge=1, le=60000)]
    token: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    hints_used: Annotated[list[_Hint], Field(max_length=3)]
    minutes_told: float
    salt: Annotated[str, StringConstraints(max_length=64)] | None = None
    fault: Annotated[str, StringConstraints(max_length=64)] | None = None
    kit_commit: Annotated[str, StringConstraints(max_length=64)] | None = None


def _note(message: bytes) -> dict[str, Any]:
    """Read what the copy says of itself. Of a stranger's note only known keys are used.

    :raises ExerciseError: it is none.
    """
    try:
        if len(message) > LARGEST_NOTE:
            raise DocumentError("it is too long")
        said = read_json(message.decode("utf-8", errors="replace"))
    except DocumentError as error:
        raise ExerciseError(f"the submission does not say which ticket it is: {error}") from error
    try:
        return _Note.model_validate(said).model_dump(mode="json")
    except ValidationError as error:
        raise ExerciseError(
            f"the submission does not say which ticket it is: {'; '.join(error_lines(error))}"
        ) from error
