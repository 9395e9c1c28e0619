"""Copies that are handed out: what they have, what they must not tell, and the environment that they borrow."""

import json
import subprocess
from pathlib import Path

import pytest

from answers.proof import copies
from answers.proof.catalog import load_questions
from support.tiny_project import ABOUT, FAULT, Project, hand_out


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(project: Project) -> Project:
    project.write_faults({})
    return project


@pytest.fixture
def tracked(project: Project) -> Project:
    git(project.root, "init", "-q")
    git(project.root, "add", ".")
    git(project.root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "The repair is in the next one")
    return project


@pytest.mark.claim("9.6")
def test_a_copy_has_one_commit_to_compare_with_and_no_other_history(tracked, tmp_path):
    copy = hand_out(tracked, tmp_path / "copy")
    assert git(copy, "log", "--all", "--format=%s %an") == "Start answers\n"
    assert git(copy, "status", "--porcelain", "--ignored").split("\n") == ["!! .answers/", "!! .venv/", ""]
    (copy / "shop/price.py").write_text("def total(prices):\n    return 0\n")
    assert "-    return sum(prices)\n+    return 0\n" in git(copy, "diff")


def test_a_users_own_git_settings_do_not_matter(tracked, tmp_path, monkeypatch):
    hook = tmp_path / "hooks" / "post-commit"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    (tmp_path / "ignored").write_text("*.py\n")
    settings = f"[commit]\ngpgsign = true\n[core]\nhooksPath = {hook.parent}\nexcludesFile = {tmp_path}/ignored\n"
    (tmp_path / "settings").write_text(settings)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    monkeypatch.setenv("GIT_DIR", str(tracked.root / ".git"))
    copy = hand_out(tracked, tmp_path / "copy")
    monkeypatch.delenv("GIT_DIR")
    assert "shop/price.py" in git(copy, "ls-files")
    assert git(tracked.root, "log", "--format=%s") == "The repair is in the next one\n"
    assert not (tmp_path / "hooked").exists()


def test_a_copy_has_what_is_tracked_as_it_is_now_and_no_note_that_lies_beside(tracked, tmp_path):
    tracked.write("shop/price.py", "def total(prices):\n    return sum(prices)  # edited\n")
    tracked.write("solution.md", "Sum all prices.\n")
    copy = hand_out(tracked, tmp_path / "copy")
    assert "# edited" in (copy / "shop/price.py").read_text()
    assert not (copy / "solution.md").exists()


def test_faults_exercises_and_the_changelog_are_not_in_a_copy(project, tmp_path):
    for path in ("exercises/one/judge.py", "tests/exercises/test_one.py", "docs/exercises.md", "docs/q01.md"):
        project.write(path, "# One\n")
    project.write("CHANGELOG.md", "# Changelog\n\n- Prices are added up.\n")
    copy = hand_out(project, tmp_path / "copy")
    assert {path.name for path in copy.iterdir()} == {
        *(
            ".answers",
            ".git",
            ".venv",
            "CHANGELOG.md",
            "TICKET.md",
            "docs",
            "include",
            "requirements.txt",
            "shop",
            "tests",
        )
    }
    assert sorted(path.name for path in (copy / "docs").iterdir()) == ["q01.md"]
    assert sorted(path.name for path in (copy / "tests").iterdir()) == ["conftest.py", "unit"]
    assert (copy / "CHANGELOG.md").read_text() == "# Changelog\n"


BREAKS = """\
id: q01
title: Prices  # a comment that stays
answered: false
question: How much?
claims:
  - id: "1.1"
    text: Right.
    anchor: "shop/price.py:total"
    see: Look.
    break: Drop the last price; bills
      are too low.
  - id: "1.2"
    text: "break: is a word here"
    anchor: ["shop/price.py:total"]
    see: Look.
    break: >-
      Drop the first price: bills

      are too low.
  - {id: "1.3", text: Right., anchor: "shop/price.py:total", see: Look., break: 'Drop all: it''s nothing.'}
"""


@pytest.mark.claim("9.6")
def test_how_to_break_a_claim_is_cut_however_it_is_written(project, tmp_path):
    project.write("include/questions/q01.yaml", BREAKS)
    copy = hand_out(project, tmp_path / "copy")
    text = (copy / "include/questions/q01.yaml").read_text()
    assert "a comment that stays" in text
    assert "Drop" not in text
    assert "bills" not in text
    (before,), (after,) = load_questions(project.root), load_questions(copy)
    kept = {claim.id: claim.model_dump(exclude={"break_it"}) for claim in after.claims}
    assert kept == {claim.id: claim.model_dump(exclude={"break_it"}) for claim in before.claims}
    assert {claim.break_it for claim in after.claims} == {copies.KEPT_BACK}


def test_sections_about_exercises_are_cut_to_the_next_heading_of_their_level(project, tmp_path):
    cut = "## Exercises\n\n1.1-drops\n\n```\n# no heading\n```\n\n### One more\n\nx\n\n"
    project.write("docs/q01.md", f"# Q1\n\n{cut}## Traps\n\nkept\n\n### Exercises\n\ny\n")
    copy = hand_out(project, tmp_path / "copy")
    assert (copy / "docs/q01.md").read_text() == "# Q1\n\n## Traps\n\nkept\n\n"


@pytest.mark.claim("9.6")
@pytest.mark.parametrize("told", [FAULT["id"], FAULT["title"]])
@pytest.mark.parametrize("existed", [True, False])
def test_a_copy_that_would_name_a_fault_is_not_handed_out(project, tmp_path, told, existed):
    project.write("docs/q01.md", f"# Q1\n\nTry {told} yourself.\n")
    target = tmp_path / "copy"
    if existed:
        target.mkdir()
    with pytest.raises(copies.CopyError, match=rf"docs/q01.md:3 names the fault {FAULT['id']}"):
        hand_out(project, target)
    assert target.exists() == existed
    assert not existed or not any(target.iterdir())


FAILED = subprocess.CalledProcessError(128, ["git"], stderr="fatal: unable to write\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt, "^$"),
        (OSError("disk full"), "cannot be made: disk full"),
        (FAILED, "cannot be made: fatal: unable to write"),
    ],
)
def test_what_ends_it_half_way_leaves_nothing(project, tmp_path, error, message):
    def fail(copy: Path) -> None:
        assert (copy / "shop/price.py").exists()
        raise error

    with pytest.raises((KeyboardInterrupt, copies.CopyError), match=message):
        hand_out(project, tmp_path / "copy", fail)
    assert not (tmp_path / "copy").exists()


def test_a_folder_that_holds_something_is_left_alone(project, tmp_path):
    file = tmp_path / "copy" / "mine"
    file.parent.mkdir()
    file.write_text("1")
    for target in (file.parent, file):
        with pytest.raises(copies.CopyError, match="is not empty: name an empty folder or a new one"):
            hand_out(project, target)
    assert file.read_text() == "1"


def test_a_copy_says_what_it_is_and_where_it_is_from(tracked, tmp_path):
    copy = hand_out(tracked, tmp_path / "copy", lend=False)
    note = json.loads((copy / ".answers/exercise.json").read_text())
    assert note.pop("started_at").endswith("+00:00")
    commit = git(tracked.root, "rev-parse", "HEAD").strip()
    assert note == {"schema": 1, "kit": str(tracked.root), "kit_commit": commit, **ABOUT}
    assert (copy / "TICKET.md").read_text() == "# What is wrong here?\n"
    assert not (copy / ".venv").exists()
