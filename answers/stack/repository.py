"""Operates the bare repository that Airflow's bundle follows, through git's own commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

TIMEOUT = 600  # seconds, for one command: more than any machine needs, so that one that hangs ends
IDENTITY = ("-c", "user.name=answers", "-c", "user.email=answers@localhost")


class RepositoryError(RuntimeError):
    """Git refused. The text says what, and what to do."""


class Repository:
    """A bare repository with the branch that is deployed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *arguments: str, folder: Path | None = None) -> bytes:
        """Return the standard output of a git command on this repository, or in a folder.

        :raises RepositoryError: it failed, with what it said
        """
        # Nothing of the caller's: a hook of theirs, or GIT_DIR of a process that runs in one, would reach elsewhere.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        where = ["-C", str(folder)] if folder else ["--git-dir", str(self.path)]
        try:
            done = subprocess.run(
                ["git", "-c", "safe.directory=*", *where, *arguments],
                env=environment | {"GIT_TERMINAL_PROMPT": "0"},
                capture_output=True,
                timeout=TIMEOUT,
            )
        except FileNotFoundError:
            raise RepositoryError("git is not installed: DAGs from a repository need it") from None
        except subprocess.TimeoutExpired:
            raise RepositoryError(f"git {arguments[0]} has not ended after {TIMEOUT} s") from None
        if done.returncode:
            raise RepositoryError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def create(self, project: Path, branch: str, tag: str) -> None:
        """Make it from the commit that is checked out in `project`, whose tags can be deployed from then on."""
        try:
            head = self.git("rev-parse", "--verify", "HEAD^{commit}", folder=project).decode().strip()
        except RepositoryError as error:
            raise RepositoryError(
                f"{project} is no Git repository with a commit, so there is nothing to deploy: "
                f"`git init`, `git add` and `git commit` there ({error})"
            ) from None
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--bare", "--shared=0644", str(self.path), folder=project)
        self.git("remote", "add", "origin", str(project.absolute()))
        # Copies of a commit stay in use for as long as its runs; nothing is collected behind their back.
        self.git("config", "gc.auto", "0")
        self.git("fetch", "--quiet", "--no-tags", "origin", f"HEAD:refs/heads/{branch}")
        self.git("tag", tag, head)
        self.fetch()

    def fetch(self) -> None:
        """Take the tags of the repository that this one was made from.

        :raises RepositoryError: a tag that is here has been moved there, or it cannot be reached
        """
        if b"origin" not in self.git("remote").split():
            return
        try:
            self.git("fetch", "origin", "refs/tags/*:refs/tags/*")
        except RepositoryError as error:
            if "would clobber" in str(error):
                raise RepositoryError(
                    f"a tag was moved since it was fetched; give the commit a new tag ({error})"
                ) from None
            raise

    def commit(self, tag: str) -> str:
        """Return the commit of a tag.

        :raises RepositoryError: there is no such tag, with those that there are
        """
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}").decode().strip()
        except RepositoryError:
            tags = self.git("tag", "--sort=-creatordate").decode().split()
            known = f"the latest are {', '.join(tags[:5])}" if tags else "there are none"
            raise RepositoryError(f"no tag {tag!r} ({known}): `git tag {tag}` in the project makes one") from None

    def head(self, branch: str) -> str:
        """Return the commit that a branch is at."""
        return self.git("rev-parse", "--verify", f"refs/heads/{branch}").decode().strip()

    def name(self, commit: str) -> str:
        """Name a commit for people: its tag where it has one, and the first digits."""
        tags = self.git("tag", "--points-at", commit).decode().split()
        return f"{tags[-1]} ({commit[:10]})" if tags else commit[:10]

    def move(self, branch: str, old: str, new: str) -> None:
        """Set a branch from one commit to another, in one step.

        :raises RepositoryError: it is at neither; somebody else has moved it
        """
        if (now := self.head(branch)) == new:
            return
        if now != old:
            raise RepositoryError(
                f"{branch} is at {self.name(now)}, not at {self.name(old)}: somebody moved it outside of a deploy. "
                f"`git --git-dir {self.path} update-ref refs/heads/{branch} {old}` puts it back"
            )
        self.git("update-ref", f"refs/heads/{branch}", new, old)

    def export(self, commit: str, folder: Path, *paths: str) -> None:
        """Write the files of a commit into a folder."""
        archive = self.git("archive", "--format=tar", commit, *paths)
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")

    def changed(self, old: str, new: str) -> list[str]:
        """Return the paths that differ between two commits."""
        return self.git("diff", "--name-only", "--no-renames", "-z", old, new).decode().rstrip("\0").split("\0")

    def differs(self, commit: str, folder: Path, *paths: str) -> list[str]:
        """Return those of `paths` whose content at a commit is not what lies in a folder."""
        with tempfile.TemporaryDirectory() as scratch:
            known = [each for each in paths if self.git("ls-tree", "--name-only", commit, each)]
            self.export(commit, Path(scratch), *known)
            theirs = {
                path.relative_to(scratch): path.read_bytes() for path in Path(scratch).rglob("*") if path.is_file()
            }
        return sorted(
            str(path)
            for path, content in theirs.items()
            if not (folder / path).is_file() or (folder / path).read_bytes() != content
        )

    def apply(self, base: str, patch: Path, tag: str) -> str:
        """Commit a patch on top of a commit, under a tag; returns the new commit."""
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch) / "tree"
            self.git("worktree", "add", "--quiet", "--detach", str(tree), base)
            try:
                self.git("apply", "--index", str(patch.absolute()), folder=tree)
                self.git(*IDENTITY, "commit", "--quiet", "--message", tag, folder=tree)
                self.git("tag", tag, folder=tree)
                return self.git("rev-parse", "HEAD", folder=tree).decode().strip()
            finally:
                self.git("worktree", "remove", "--force", str(tree))
