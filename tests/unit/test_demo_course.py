"""The course of the demonstration: it says how long it takes, goes on after a failure, and tells what became of each question."""

import io

import pytest
from rich.console import Console

from answers import demo
from answers.cli import app as cli
from answers.demo.course import SECONDS, START, Course
from answers.proof.catalog import load_questions
from answers.stack.client import ApiError

QUESTIONS = [("q01", "One"), ("q02", "Two"), ("q03", "Three")]


@pytest.fixture
def out() -> Console:
    return Console(file=io.StringIO(), width=120)


def text(out: Console) -> str:
    return out.file.getvalue()


@pytest.mark.parametrize(("factor", "says"), [("1", "on this machine\n"), ("3", "3.0 times slower than the recorded")])
def test_it_says_at_its_start_how_long_it_takes_here(out, monkeypatch, factor, says):
    monkeypatch.setenv("ANSWERS_PATIENCE", factor)
    Course(QUESTIONS, out).print_plan()
    minutes = round(float(factor) * (START + sum(SECONDS[question] for question, _ in QUESTIONS)) / 60)
    assert text(out).startswith(f"3 questions, about {minutes} minutes on this machine")
    assert says in text(out)


def test_the_time_to_go_follows_the_pace_so_far(out, monkeypatch):
    monkeypatch.setenv("ANSWERS_PATIENCE", "1")
    clock = [0.0]
    monkeypatch.setattr("answers.demo.course.time.monotonic", lambda: clock[0])
    course = Course(QUESTIONS, out)
    clock[0] = 4 * (START + SECONDS["q01"])
    course.play_step(course.steps[1], lambda: None)
    left = round(4 * (SECONDS["q02"] + SECONDS["q03"]) / 60)
    assert f"2 of 3, {round(clock[0] / 60)} minutes so far, about {left} minutes to go" in text(out)


def test_a_question_that_fails_does_not_hide_the_others(out):
    course = Course(QUESTIONS, out)

    def fails() -> None:
        raise ApiError("answers__2013-02-08 failed: see the UI\nand more")

    for step, part in zip(course.steps, (lambda: None, fails, lambda: None), strict=True):
        course.play_step(step, part)
    assert [step.outcome for step in course.steps] == ["shown", "failed", "shown"]
    assert course.failed == [course.steps[1]]
    course.conclude()
    told = text(out)
    assert "question 2 failed: answers__2013-02-08 failed: see the UI\nand more" in told
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.splitlines() if line.startswith("│")]
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("1", "shown", ""),
        ("2", "failed", "answers__2013-02-08 failed: see the UI"),
        ("3", "shown", ""),
    ]


def test_ctrl_c_ends_it_and_the_table_tells_what_was_shown(out):
    course = Course(QUESTIONS, out)

    def interrupted() -> None:
        raise KeyboardInterrupt

    course.play_step(course.steps[0], lambda: None)
    with pytest.raises(KeyboardInterrupt):
        course.play_step(course.steps[1], interrupted)
    assert [(step.outcome, step.why) for step in course.steps] == [
        ("shown", ""), ("not shown", "interrupted"), ("not shown", "")
    ]  # fmt: skip


def test_nothing_is_concluded_where_nothing_was_begun(out):
    Course(QUESTIONS, out).conclude()
    assert text(out) == ""


def test_every_part_has_the_seconds_that_it_took_on_the_recorded_machine():
    assert set(SECONDS) == {each.id for each in load_questions() if each.answered}


@pytest.mark.parametrize(("complete", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_every_question_was_shown(tmp_path, monkeypatch, complete, code):
    from typer.testing import CliRunner

    monkeypatch.setenv("ANSWERS_HOME", str(tmp_path))
    monkeypatch.setattr(demo, "play_questions", lambda *_: complete)
    assert CliRunner().invoke(cli.app, ["demo"]).exit_code == code
