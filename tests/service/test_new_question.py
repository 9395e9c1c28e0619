"""`answers new`: a question more, whole or not at all, and proven as it is written."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from answers.proof import new, pages
from answers.proof.borrowed import lend_environment
from answers.proof.catalog import CatalogError, load_faults, load_questions
from answers.proof.copies import commit_start, copy_project, git
from support import PROJECT

LAST = len(load_questions())
NUMBER = LAST + 1
ID = f"q{NUMBER:02}"
TITLE = "Data contracts & who keeps them: 50 %"
NAME = f"{ID}_data_contracts_who_keeps_them_50"
FILES = [f"dags/{NAME}.py", f"tests/dag/test_{ID}.py", f"tests/faults/{ID}.yaml", f"include/questions/{ID}.yaml"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The questions of the project, and folders for the rest."""
    shutil.copytree(PROJECT / "include" / "questions", tmp_path / "include" / "questions")
    for folder in ("dags", "tests/dag", "tests/faults"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def files_in(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("question", "title", "message"),
    [
        ("q01", TITLE, rf"^q01 exists already: include/questions/q01\.yaml\. The next question is {ID}$"),
        (f"q{NUMBER + 1}", TITLE, f"^'q{NUMBER + 1}' is not the next question, which is {ID}$"),
        (str(NUMBER), TITLE, f"is not the next question, which is {ID}$"),
        (f"../{ID}", TITLE, f"is not the next question, which is {ID}$"),
        (ID, 'Say "yes"', "cannot be a title: give one line of at most 70 characters"),
        (ID, "Two\nlines", "cannot be a title"),
        (ID, "x" * 71, "cannot be a title"),
        (ID, "2 + 2", "has a letter from a to z"),
        (ID, "", "cannot be a title"),
    ],
)
def test_what_does_not_do_is_refused_and_nothing_is_written(project, question, title, message):
    before = files_in(project)
    with pytest.raises(new.NewQuestionError, match=message):
        new.add_question(project, question, title)
    assert files_in(project) == before


@pytest.mark.parametrize("file", FILES[:3])
def test_a_file_of_the_question_that_exists_is_left_as_it_is(project, file):
    (project / file).write_text("mine")
    before = files_in(project)
    with pytest.raises(new.NewQuestionError, match=f"^{file} exists already: remove it, or edit it by hand$"):
        new.add_question(project, ID, TITLE)
    assert files_in(project) == before


@pytest.mark.parametrize("folder", ["dags", "tests/dag", "tests/faults"])
def test_where_one_file_cannot_be_written_none_is(project, folder):
    (project / folder).rmdir()
    (project / folder).write_text("no folder")
    before = files_in(project)
    with pytest.raises(new.NewQuestionError, match=rf"^{ID} cannot be written: .*{folder}.*; nothing was added$"):
        new.add_question(project, ID, TITLE)
    assert files_in(project) == before


def test_what_a_killed_command_left_is_completed(project):
    new.add_question(project, ID, TITLE)
    whole = files_in(project)
    for file in FILES[1:]:  # the YAML, which makes the question exist, is the last one written
        (project / file).unlink()
    assert new.add_question(project, ID, TITLE) == [Path(file) for file in FILES]
    assert files_in(project) == whole


def test_a_title_with_signs_is_the_same_in_all_files(project):
    new.add_question(project, ID, TITLE)
    question = load_questions(project)[-1]
    assert (question.id, question.title, question.dag, question.answered) == (ID, TITLE, f"{NAME}.py", False)
    answered = question.model_dump(by_alias=True) | {"answered": True}
    (project / FILES[-1]).write_text(yaml.safe_dump(answered))
    assert load_questions(project)[-1].answered
    (fault,) = load_faults(project)
    assert (project / fault.file).read_text().count(fault.find) == 1
    compile((project / FILES[0]).read_text(), FILES[0], "exec")


def test_a_broken_catalogue_is_told_by_its_file(project):
    (project / "include/questions/q01.yaml").write_text("id: [")
    with pytest.raises(CatalogError, match=r"q01\.yaml, line \d+: not valid YAML"):
        new.add_question(project, ID, TITLE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of this project with a repository and an environment of its own."""
    copy = tmp_path_factory.mktemp("new") / "project"
    copy_project(PROJECT, copy)
    commit_start(copy)
    lend_environment(copy)
    return copy


def run(copy: Path, *command: str, code: int = 0) -> str:
    """Run a command of the copy's environment in the copy; returns what it printed."""
    done = subprocess.run(
        [copy / ".venv" / "bin" / command[0], *command[1:]],
        cwd=copy,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_one_question_more_is_four_files_that_are_proven_at_once_and_can_be_removed(copy):
    told = run(copy, "answers", "new", ID, "--title", TITLE)
    assert git(copy, "status", "--porcelain", "--untracked-files=all").split("\n") == [
        *sorted(f"?? {file}" for file in FILES),
        "",
    ]
    assert f"`answers prove {ID}`" in told
    run(copy, "ruff", "check", ".")
    run(copy, "ruff", "format", "--check", *[file for file in FILES if file.endswith(".py")])

    assert "proven" in run(copy, "answers", "prove", ID)
    assert "caught" in run(copy, "answers", "prove", ID, "--faults")

    assert f"{ID} exists already" in run(copy, "answers", "new", ID, code=1)
    assert "is out of date: run make docs" in run(copy, "python", "-m", "answers.proof.pages", "--check", code=1)
    run(copy, "python", "-m", "answers.proof.pages")
    row = f"| {NUMBER} | [{TITLE}](docs/{ID}.md) | [{NAME}](dags/{NAME}.py) | not yet |"
    assert row in (copy / "README.md").read_text()

    for file in FILES:
        (copy / file).unlink()
    (copy / f"docs/{ID}.md").unlink()
    run(copy, "python", "-m", "answers.proof.pages")
    assert git(copy, "status", "--porcelain") == ""
    assert f"unknown: {ID}" in run(copy, "answers", "prove", ID, code=2)
    assert [question.id for question in load_questions(copy)] == [question.id for question in load_questions()]
    assert pages.pages(copy).keys() == {copy / "README.md"}
