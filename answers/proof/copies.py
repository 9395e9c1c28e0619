"""Copies the project: whole, to try faults on it, or without its solutions, to hand it out."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from answers.checkout import EXERCISE
from answers.proof.borrowed import lend_environment
from answers.proof.catalog import QUESTIONS, load_faults

NOT_COPIED = {".git", ".venv", ".airflow", ".answers", ".env", "results", "node_modules", "__pycache__"}
# Files that tell a fault or its repair. They are never handed out.
WITHHELD = (
    "tests/faults/",
    "tests/exercises/",
    "tests/service/test_handed_out.py",
    "exercises/",
    "docs/exercises.md",
    "docs/images/check.",
    "docs/images/report.",
)
KEPT_BACK = "Whoever handed out this copy knows."
TICKET = "TICKET.md"
SCHEMA = 1


class CopyError(Exception):
    """Reports that a copy of the project cannot be made."""


def copy_project(root: Path, target: Path) -> None:
    """Copy the files of the project that Git tracks, or does not ignore, to an empty or missing folder.

    :raises CopyError: the folder holds something already.
    """
    _require_empty(target)
    _copy(root, project_files(root), target)


def _require_empty(target: Path) -> None:
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise CopyError(f"{target} is not empty: name an empty folder or a new one")


def _copy(root: Path, names: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, destination, follow_symlinks=False)


def project_files(root: Path, untracked: bool = True) -> list[str]:
    """List the project's own files, relative to its root: those that Git tracks, and the new ones that it does not ignore."""
    which = ["--cached", "--others", "--exclude-standard"] if untracked else ["--cached"]
    try:
        listed = git(root, "ls-files", "-z", *which).split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = []
    # Git lists a deleted file until the deletion is committed, and a submodule as its folder.
    files = [name for name in listed if name and ((root / name).is_file() or (root / name).is_symlink())]
    return files or list(_walked_files(root))


def _walked_files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_ignored(name)]
        for name in names:
            if not _is_ignored(name):
                yield Path(folder, name).relative_to(root).as_posix()


def _is_ignored(name: str) -> bool:
    return name in NOT_COPIED or name.endswith((".pyc", ".egg-info", "_cache"))


def hand_out(
    root: Path, target: Path, ticket: str, prepare: Callable[[Path], None], about: dict[str, Any], lend: bool = True
) -> None:
    """Make a working copy for a candidate, in a folder that is empty or missing.

    The copy has the files that Git tracks, as they are now, without WITHHELD and without what documents and catalogue tell of
    faults; TICKET.md; one commit, named Start; the packages of this environment; and .answers/exercise.json.

    :param root: the checkout that is copied.
    :param target: the folder.
    :param ticket: what TICKET.md says.
    :param prepare: changes the files of the copy before they are committed.
    :param about: what .answers/exercise.json says beside schema, kit (the checkout), kit_commit and started_at.
    :param lend: gives the copy this environment's packages; without, `make setup` in the copy installs its own.
    :raises CopyError: the folder holds something, cannot be written, or the copy would tell a fault; it is as before, then.
    """
    target = target.absolute()
    _require_empty(target)
    existed = target.exists()
    try:
        fill(root, target, ticket, prepare)
        commit_start(target)
        if lend:
            lend_environment(target)
        _note(root, target, about)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if existed:
            target.mkdir()
        if isinstance(error, OSError | subprocess.CalledProcessError):
            why = getattr(error, "stderr", None) or error
            raise CopyError(f"{target} cannot be made: {str(why).strip()}") from error
        raise


def fill(root: Path, target: Path, ticket: str, prepare: Callable[[Path], None]) -> None:
    """Write the files of a working copy: the project's without what tells a solution, changed by `prepare`, and TICKET.md.

    :raises CopyError: the copy would tell a fault.
    """
    names = [name for name in project_files(root, untracked=False) if not name.startswith(WITHHELD)]
    _copy(root, names, target)
    remove_spoilers(target)
    prepare(target)
    (target / TICKET).write_text(ticket, encoding="utf-8")
    _require_no_spoiler(root, target)


def remove_spoilers(copy: Path) -> None:
    """Cuts the texts that tell a fault: `break:` of the claims, sections called Exercises, and the changelog."""
    for path in sorted((copy / QUESTIONS).glob("q*.yaml")):
        path.write_text(_without_breaks(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in sorted(copy.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        cut = text.partition("\n")[0] + "\n" if path.name == "CHANGELOG.md" else _without_exercises(text)
        if cut != text:
            path.write_text(cut, encoding="utf-8")


def _without_breaks(text: str) -> str:
    """Replace the value of each claim's `break`. All else stays as it is, comments included."""
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    for value in reversed(_values(_values([document], "claims"), "break")):
        whole = text[value.start_mark.index : value.end_mark.index]
        text = text[: value.start_mark.index] + KEPT_BACK + whole[len(whole.rstrip()) :] + text[value.end_mark.index :]
    return text


def _values(nodes: Sequence[yaml.Node | None], key: str) -> list[yaml.Node]:
    """List the values of a key in the mappings among the nodes, and in the lists among them."""
    mappings = [each for node in nodes for each in (node.value if isinstance(node, yaml.SequenceNode) else [node])]
    pairs = [pair for mapping in mappings if isinstance(mapping, yaml.MappingNode) for pair in mapping.value]
    return [value for name, value in pairs if name.value == key]


def _without_exercises(text: str) -> str:
    """Cuts the sections called Exercises, up to the next heading of the same or a higher level."""
    kept, cut_below, in_code = [], 0, False
    for line in text.splitlines(keepends=True):
        in_code ^= line.startswith("```")
        if (heading := re.match(r"(#+) (.*)", line)) and not in_code:
            level = len(heading[1])
            if not cut_below or level <= cut_below:
                cut_below = level if heading[2].strip() == "Exercises" else 0
        if not cut_below:
            kept.append(line)
    return "".join(kept)


def _require_no_spoiler(root: Path, copy: Path) -> None:
    """Refuses a copy in which a fault is named. A new document may name one in a section that is not cut.

    :raises CopyError: with the file, the line and the fault.
    """
    names = {name: fault.id for fault in load_faults(root) for name in (fault.id, fault.title)}
    if not names:
        return
    pattern = re.compile("|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))
    for path in sorted(path for path in copy.rglob("*") if path.is_file() and not path.is_symlink()):
        with contextlib.suppress(UnicodeDecodeError):
            text = path.read_text(encoding="utf-8")
            if found := pattern.search(text):
                where = f"{path.relative_to(copy)}:{text.count(chr(10), 0, found.start()) + 1}"
                raise CopyError(
                    f"{where} names the fault {names[found[0]]}, which a copy must not: move it to a section called Exercises"
                )


def commit_start(copy: Path) -> None:
    """Make the copy a Git repository with one commit of all its files. This user's Git settings do not matter."""
    git(copy, "init", "--quiet", "--template=", "--initial-branch=main")
    (copy / ".git" / "info").mkdir(exist_ok=True)
    (copy / ".git" / "info" / "exclude").write_text("/.answers/\n/.venv/\n")
    git(copy, "add", "--all", "--force")  # this user's own ignore list must not leave out a file
    author = ["-c", "user.name=answers", "-c", "user.email=answers@localhost", "-c", "commit.gpgsign=false"]
    git(copy, *author, "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--no-verify", "--message", "Start")


def _note(root: Path, copy: Path, about: dict[str, Any]) -> None:
    try:
        commit = git(root, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    started = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"schema": SCHEMA, "kit": str(root), "kit_commit": commit, "started_at": started, **about}
    path = copy / EXERCISE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def git(folder: Path, *arguments: str) -> str:
    """Run Git in a folder, without regard to the caller's repository.

    :returns: what it printed.
    :raises subprocess.CalledProcessError: it failed.
    :raises OSError: there is no Git.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
