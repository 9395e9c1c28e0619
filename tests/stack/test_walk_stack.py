"""The walks, played as a candidate would play them beforehand: on a real stack, with every command."""

import pytest

from answers.proof.catalog import load_questions

OFTEN = ("q10",)
OTHERS = [question.id for question in load_questions() if question.walk and question.id not in OFTEN]


def played(stack, question: str) -> None:
    done = stack.answers("walk", question, "--check", check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.claim("9.7")
@pytest.mark.parametrize("question", OFTEN)
def test_a_walk_does_what_it_says(stack, question):
    played(stack, question)


@pytest.mark.long(
    "one of the walks; what every step shows, in the unit tier; their commands in each question's own tests"
)
@pytest.mark.parametrize("question", OTHERS)
def test_every_other_walk_does_what_it_says(stack, question):
    played(stack, question)
