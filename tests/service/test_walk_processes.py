"""The commands of a walk are run as they are, and what they do is compared with what the step expects."""

import pytest

from answers.proof.catalog import Question, Step
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
