"""Takes a candidate's changes out of a Git repository: which files, which of them count, and how they fit the kit's own files."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from answers.exercise.catalogue import ExerciseError
from answers.exercise.model import NEVER_YOURS, Bounds
from answers.proof.copies import TICKET

MOST_FILES, LARGEST = 500, 5 << 20  # of one change: files, bytes of each
REGULAR = ("100644", "100755", "000000")  # modes of files that count; not links, not submodules
# Whoever asks Git here must not run what a repository's own settings name.
HARMLESS = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.symlinks=false",
)


class CannotJudge(Exception):
    """Reports that a check cannot be done, for a reason that is not the candidate's."""


@dataclass(frozen=True)
class Changes:
    """Holds what a candidate has changed.

    :param files: content by path, None for a file that is removed; only what counts.
    :param before: content of the same files in the copy's Start.
    :param outside: paths that were changed and do not count.
    """

    files: dict[str, bytes | None] = field(default_factory=dict)
    before: dict[str, bytes | None] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)


def git(folder: Path, *arguments: str, index: Path | None = None, author: bool = False) -> bytes:
    """Run Git in a repository that may be a stranger's, and return what it printed.

    :raises ExerciseError: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    if index:
        environment["GIT_INDEX_FILE"] = str(index)
    if author:
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": "answers", f"GIT_{who}_EMAIL": "answers@localhost"}
    command = ["git", "-C", str(folder), *HARMLESS, *arguments]
    done = subprocess.run(command, capture_output=True, env=environment, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ExerciseError(f"git {arguments[0]} in {folder}: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether a path fits one of the patterns: `*` stays within a folder, `**` goes through any."""
    return any(re.fullmatch(_regex(pattern), path) for pattern in patterns)


def _regex(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part) or re.escape(part) for part in parts)


def counts(path: str, bounds: Bounds) -> bool:
    """Tell whether a change of this file is the candidate's to make."""
    return matches(path, bounds.yours) and not matches(path, [*bounds.not_yours, *NEVER_YOURS])


def between(repository: Path, start: str, end: str, counted: Callable[[str], bool]) -> Changes:
    """Return what has changed from one commit to another.

    :param counted: tells whether a path is the candidate's to change.

    :raises ExerciseError: too much has changed.
    """
    raw = git(
        repository, "diff", "--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--abbrev=40", start, end
    )
    fields = raw.decode(errors="surrogateescape").split("\0")
    files: dict[str, bytes | None] = {}
    before: dict[str, bytes | None] = {}
    outside = []
    for about, path in zip(fields[0::2], fields[1::2], strict=False):
        _, mode, old, new, _ = about.split()
        if path == TICKET:
            continue
        if mode not in REGULAR or not _is_plain(path) or not counted(path):
            outside.append(path)
            continue
        if len(files) >= MOST_FILES:
            raise ExerciseError(f"more than {MOST_FILES} files have changed: is a folder of data among them?")
        files[path], before[path] = _blob(repository, new, path), _blob(repository, old, path)
    return Changes(files, before, sorted(outside))


def _is_plain(path: str) -> bool:
    parts = Path(path).parts
    return path.isprintable() and not path.startswith("/") and ".." not in parts and ".git" not in parts


def _blob(repository: Path, name: str, path: str) -> bytes | None:
    if not name.strip("0"):
        return None
    if int(git(repository, "cat-file", "-s", name)) > LARGEST:
        raise ExerciseError(f"{path} has more than {LARGEST >> 20} MB: no change to code needs that")
    return git(repository, "cat-file", "blob", name)


def lay_over(changes: Changes, tree: Path) -> None:
    """Write changes into a tree of the kit's own files. A file that the kit has changed since is merged.

    :raises CannotJudge: a file cannot be merged.
    """
    for path, content in changes.files.items():
        file = tree / path
        kit = file.read_bytes() if file.is_file() else None
        if kit not in (changes.before.get(path), content):
            content = _merged(path, changes.before.get(path), content, kit)
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _merged(path: str, before: bytes | None, mine: bytes | None, kit: bytes | None) -> bytes:
    conflict = CannotJudge(
        f"{path} was changed here and, since this copy was made, in the kit too: "
        "check it with the kit's commit that .answers/exercise.json names"
    )
    if None in (before, mine, kit):
        raise conflict
    with tempfile.TemporaryDirectory(prefix="answers-merge-") as folder:
        names = [Path(folder, name) for name in ("mine", "before", "kit")]
        for name, content in zip(names, (mine, before, kit), strict=True):
            name.write_bytes(content or b"")
        done = subprocess.run(["git", "merge-file", "-p", *names], capture_output=True, check=False)
    if done.returncode:
        raise conflict
    return done.stdout
