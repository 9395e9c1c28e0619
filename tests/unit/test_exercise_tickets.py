"""The project's own tickets: complete in form, and telling nothing that they hide. `answers exercise prove` runs them."""

import re

import pytest

from answers.exercise import catalogue, leaks, prove
from answers.proof.catalog import ROOT, load_questions

TICKETS = catalogue.load_all(ROOT)
LONGEST_STORY = 40  # lines: a screen


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket.id)
def test_a_ticket_is_complete(ticket):
    if not ticket.exercise.draft:
        assert list(prove._form(ticket)) == []
    claims = {claim.id: question.id for question in load_questions(ROOT) for claim in question.claims}
    assert ticket.exercise.question in {claims[claim] for claim in ticket.exercise.claims}, "others may play along"
    for test in ticket.exercise.keeps:
        assert (ROOT / test.partition("::")[0]).is_file(), f"keeps: there is no {test}"


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket.id)
def test_a_story_is_a_screen_long_and_tells_no_hidden_value(ticket):
    for number, variant in enumerate(ticket.exercise.variants, start=1):
        story = ticket.story(number)
        assert len(story.splitlines()) <= LONGEST_STORY
        told = {str(value) for value in variant.told.values()}
        hidden = {str(value) for value in variant.hidden.values() if re.fullmatch(r"[\w-]{4,}", str(value))}
        assert {value for value in hidden - told if value in story} == set()


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket.id)
def test_every_file_that_a_story_names_is_there_or_is_the_candidates_to_write(ticket):
    named = set(
        re.findall(
            r"\b(?:answers|dags|docs|include|plugins|tests)/[\w./-]*\.(?:md|py|sql|yaml|json)\b", ticket.story(1)
        )
    )
    places = ROOT, ticket.folder / "overlay"
    there = {name for name in named if any((place / name).is_file() for place in places)}
    assert named - there <= set(ticket.exercise.bounds.yours)


def test_the_listed_tickets_cover_every_question_and_level():
    listed = [ticket.exercise for ticket in TICKETS if not ticket.exercise.draft]
    assert len(listed) >= 12
    assert {each.question for each in listed} == {question.id for question in load_questions(ROOT)}
    assert {each.level for each in listed} == {15, 30, 60}


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket.id)
def test_every_question_about_a_check_names_one_that_is_there(ticket):
    text = (ticket.folder / "INTERVIEWER.md").read_text()
    named = set(re.findall(r"^- \*\*([\w-]+)\*\*", text, re.M))
    assert named <= {check.id for check in ticket.exercise.checks}
    questions = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(questions) >= 4
    assert [line for line in questions if "?" not in line or "Listen for:" not in line] == []


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket.id)
def test_a_judge_computes_what_it_expects(ticket):
    """Numbers of the rule have a name, or are told; `prove` compares those with what is expected of hidden data."""
    told = {digits for variant in ticket.exercise.variants for digits in re.findall(r"\d+", str(variant.told))}
    assert leaks.numbers_of((ticket.folder / "judge.py").read_text(), inline=True) <= told
