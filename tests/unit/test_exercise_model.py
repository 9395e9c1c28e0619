"""The files of a ticket: what they may say, and errors that name the file and the field."""

import copy

import pytest
import yaml

from answers.exercise import catalogue, changes, judge, report, skeleton
from answers.exercise.catalogue import ExerciseError
from answers.exercise.model import Bounds
from support import tiny_ticket
from support.tiny_project import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"level": 20}, "exercise.yaml: level: Input should be 15, 30 or 60"),
        ({"levle": 15}, "exercise.yaml: levle: Extra inputs are not permitted"),
        ({"id": "q01-another"}, "exercise.yaml: id: q01-another is not the name of the folder"),
        ({"hints": ["One."]}, "exercise.yaml: hints: List should have at least 3 items"),
        ({"bounds": {"yours": ["**"]}}, "should begin with a folder of the project, such as dags/**"),
        ({"checks": [{"id": "keeps", "holds": "All"}]}, "checks: keeps is the name of a gate"),
        (
            {"checks": [{"id": "one", "holds": "All", "after": ["two"]}]},
            "checks.0.after: no check two stands before one",
        ),
        ({"public": ["nothing"]}, "public: there is no check nothing"),
        ({"variants": [{"told": {"a": 1}}, {"told": {"b": 1}}]}, "variants: all need the same names"),
    ],
)
def test_a_mistake_in_exercise_yaml_names_the_file_and_the_field(project, changed, said):
    folder = tiny_ticket.write_ticket(project, **changed)
    with pytest.raises(ExerciseError) as raised:
        catalogue.load(folder)
    assert said in str(raised.value)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"says": "("}, "is no regular expression"),
        ({"convicted_by": "nobody"}, "everybody: convicted_by: there is no check nobody"),
        ({"edits": []}, "wrong.0.edits: List should have at least 1 item"),
    ],
)
def test_a_mistake_in_wrong_yaml_names_the_answer(project, changed, said):
    wrong = copy.deepcopy(tiny_ticket.WRONG)
    wrong[0] |= changed
    folder = tiny_ticket.write_ticket(project, wrong_yaml=yaml.safe_dump(wrong))
    with pytest.raises(ExerciseError, match=r"wrong\.yaml") as raised:
        catalogue.load(folder)
    assert said in str(raised.value)


def test_a_story_has_the_values_of_its_variant_and_no_hidden_one(project):
    ticket = catalogue.load(tiny_ticket.write_ticket(project))
    assert "of 4 things on, members pay 20 % less" in ticket.story(2)
    with pytest.raises(ExerciseError, match="has the variants 1 to 2, not 3"):
        ticket.story(3)
    (ticket.folder / "TICKET.md").write_text("{{ prices }}")
    with pytest.raises(ExerciseError, match=r"TICKET.md: 'prices' is undefined"):
        ticket.story(1)


def test_a_companys_own_tickets_come_first(project, tmp_path, monkeypatch):
    tiny_ticket.write_ticket(project)
    tiny_ticket.write_ticket(project, folder=f"private/{tiny_ticket.ID}", title="Ours")
    monkeypatch.setenv("ANSWERS_EXERCISES", str(tmp_path / "private"))
    assert catalogue.find(tmp_path, tiny_ticket.ID).exercise.title == "Ours"
    monkeypatch.setenv("ANSWERS_EXERCISES", str(tmp_path / "gone"))
    with pytest.raises(ExerciseError, match="there is no such folder"):
        catalogue.load_all(tmp_path)


BOUNDS = Bounds(yours=["dags/**", "include/*.py", "tests/**"], not_yours=["include/errors.py"])


@pytest.mark.parametrize(
    ("path", "mine"),
    [
        ("dags/q01.py", True),
        ("dags/q10/seats.py", True),
        ("include/refunds.py", True),
        ("include/flights/feed.py", False),
        ("include/errors.py", False),
        ("tests/unit/test_new.py", True),
        ("tests/support/expected.py", False),
        ("tests/dag/conftest.py", False),
        ("answers/exercise/judge.py", False),
        ("dags2/q01.py", False),
    ],
)
def test_the_bounds_say_what_is_the_candidates_to_change(path, mine):
    assert changes.counts(path, BOUNDS) is mine


def test_nothing_is_never_equal_to_nothing_and_messages_are_one_short_line():
    with pytest.raises(ValueError, match="nothing is wanted"):
        judge.same([], [], "rows", because="there are some")
    with pytest.raises(judge.Wrong) as raised:
        judge.same("two\nlines\x1b[31m" + "x" * 1000, "else", "a text", because="it is another")
    assert "\n" not in raised.value.seen
    assert "\x1b" not in raised.value.seen
    assert len(raised.value.seen) < 400
    assert "else" not in raised.value.seen


def test_questions_about_what_failed_come_first(project):
    text = "- How? Listen for: why.\n- **members** Who pays?\n  Listen for: members.\n"
    ticket = catalogue.load(tiny_ticket.write_ticket(project, INTERVIEWER_md=text))
    failed = [{"stages": [{"id": "members", "verdict": "wrong"}, {"id": "few", "verdict": "not looked at"}]}]
    first, second = report.follow_ups(ticket, failed)
    assert first == {"check": "members", "question": "Who pays?", "listen_for": "members.", "chosen": True}
    assert (second["question"], second["chosen"]) == ("How?", False)


def test_a_new_ticket_can_be_read_and_is_a_draft(project, tmp_path):
    folder = skeleton.write(tmp_path, "q05-of-mine", None)
    ticket = catalogue.load(folder)
    assert ticket.exercise.draft
    assert "The story" in ticket.story(1)
    with pytest.raises(ExerciseError, match="exists"):
        skeleton.write(tmp_path, "q05-of-mine", None)
    with pytest.raises(ExerciseError, match="is no id of a ticket"):
        skeleton.write(tmp_path, "Mine", None)
