"""The commands of a walk are run as they are, and what they do is compared with what the step expects."""

import pytest
from typer.testing import CliRunner

from answers.cli.app import app
from answers.proof.anchors import resolve_anchor
from answers.proof.catalog import ROOT, Question, Step, load_questions
from answers.proof.walk import check_walk

EXPECTED = {"exit": 0, "seconds": 60}


def problems(**step) -> list[str]:
    """Return the faults that a check finds in a step."""
    question = Question.model_construct(id="q01", walk=[Step.model_validate({"say": "Look."} | step)])
    (played,) = check_walk(question)
    return played.problems


@pytest.mark.claim("9.7")
def test_a_command_that_does_what_is_expected_is_no_problem():
    assert problems(run="answers new --help", expect=EXPECTED | {"says": "The next question"}) == []


def test_the_second_command_looks_at_what_the_first_one_did():
    wanted = EXPECTED | {"says": "next question"}
    assert problems(run="answers walk --help", then="answers new --help", expect=wanted) == []


@pytest.mark.claim("9.7")
@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ({"exit": 1, "seconds": 60}, "answers new --help: ended with 0 instead of 1"),
        ({"exit": 0, "seconds": 60, "says": "no such words"}, "does not print 'no such words'"),
    ],
)
def test_a_command_that_does_something_else_is_told(expect, message):
    (problem,) = problems(run="answers new --help", expect=expect)
    assert message in problem


@pytest.mark.claim("9.7")
def test_no_shell_reads_a_command(tmp_path):
    mark = tmp_path / "mark"
    (problem,) = problems(run=f"answers new --help; touch {mark}", expect=EXPECTED)
    assert "ended with 2" in problem
    assert not mark.exists()


def test_a_command_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr("answers.proof.walk.patience", lambda seconds: 0.01)
    assert problems(run="answers new --help", expect=EXPECTED) == ["answers new --help: not done after 60 s"]


def walk_with_editor(monkeypatch, editor: str):
    """Play question 1 up to its end, each excerpt opened in `editor`, its commands only shown."""
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor)
    return CliRunner().invoke(app, ["walk", "q01", "--no-run", "--edit"], input="\n" * 40)


def test_each_excerpt_is_opened_in_the_editor_at_its_line(tmp_path, monkeypatch):
    opened, editor = tmp_path / "opened", tmp_path / "my editor"
    editor.write_text(f'#!/bin/sh\necho "$@" >> "{opened}"\n')
    editor.chmod(0o755)
    done = walk_with_editor(monkeypatch, f"'{editor}' --wait")
    assert done.exit_code == 0, done.output
    (question,) = [each for each in load_questions() if each.id == "q01"]
    shown = [step.show for step in question.walk if step.show]
    wanted = [f"--wait +{resolve_anchor(each)} {ROOT / each.partition(':')[0]}" for each in shown]
    assert opened.read_text().splitlines() == wanted


@pytest.mark.parametrize("editor", ["/nowhere/editor", "'unfinished", ""])
def test_an_editor_that_does_not_start_is_told_and_the_walk_goes_on(editor, monkeypatch):
    done = walk_with_editor(monkeypatch, editor)
    assert done.exit_code == 0, done.output
    assert "$VISUAL or $EDITOR" in " ".join(done.output.split())
    (question,) = [each for each in load_questions() if each.id == "q01"]
    assert f"{len(question.walk)} of {len(question.walk)}" in done.output
