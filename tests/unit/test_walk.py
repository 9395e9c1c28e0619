"""The walks through the questions: what they show is there, what they say is short, and together they mention every claim."""

import json

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from answers.cli.app import app
from answers.proof import anchors, catalog, faults, walk
from answers.proof.catalog import Step, load_faults, load_questions
from support import PROJECT

QUESTIONS = load_questions()
ANSWERED = [question for question in QUESTIONS if question.answered]
STEPS = [(f"{each.id}-{n}", step) for each in QUESTIONS for n, step in enumerate(each.walk, 1)]


@pytest.fixture
def answers(monkeypatch):
    """Run `answers ARGS` in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, list(arguments))


@pytest.mark.parametrize("question", ANSWERED, ids=lambda question: question.id)
def test_a_walk_mentions_every_claim_of_its_question(question):
    mentioned = {claim for step in question.walk for claim in step.claim}
    assert mentioned == {claim.id for claim in question.claims}


@pytest.mark.claim("9.7")
@pytest.mark.parametrize("step", [step for _, step in STEPS], ids=[name for name, _ in STEPS])
def test_what_a_step_shows_is_there(step):
    if step.show:
        file, _, symbol = step.show.partition(":")
        line = anchors.resolve_anchor(step.show)
        assert symbol.rpartition(".")[2] in (PROJECT / file).read_text()
        assert line <= len((PROJECT / file).read_text().splitlines())


@pytest.mark.parametrize("fault", load_faults(), ids=lambda fault: fault.id)
def test_a_walk_leads_nowhere_else_in_a_copy_with_a_mistake(fault):
    """A copy is handed out with its walks: an excerpt that is missing there would tell where the mistake is."""
    shown = [step.show for _, step in STEPS if step.show and step.show.startswith(f"{fault.file}:")]
    text = faults.faulted_text(catalog.ROOT, fault)
    assert all(anchors.line_in(text, anchor) for anchor in shown)


@pytest.mark.parametrize("question", ANSWERED, ids=lambda question: question.id)
def test_a_walk_takes_three_minutes_and_eight_with_its_commands(question):
    words = sum(len(step.say.split()) for step in question.walk)
    times = walk.walk_seconds(question)
    assert words / (170 / 60) <= times["said"] + len(question.walk)
    assert times["said"] <= 180
    shown = sum(bool(step.show) for step in question.walk)
    assert words / 130 * 60 + shown * walk.LOOK_SECONDS <= 180, "a calm voice says 130 words a minute"
    assert times["whole"] <= 480
    assert len(question.walk) >= 5
    assert sum(bool(step.ask) for step in question.walk) >= 2


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"say": "Run.", "run": "answers status"}, "needs both: run and expect"),
        ({"say": "Run.", "expect": {"seconds": 1}}, "needs both: run and expect"),
        ({"say": "Run.", "then": "answers status"}, "then: comes after a run"),
        ({"say": "Run.", "run": "rm -rf /", "expect": {"seconds": 1}}, "runs commands of `answers` alone"),
        ({"say": "Run.", "run": "answers status", "expect": {"seconds": 0}}, "greater than or equal to 1"),
        ({"say": "Show.", "show": "/etc/passwd:root"}, "inside the project"),
        ({"say": ""}, "at least 1 character"),
    ],
)
def test_a_step_that_cannot_be_played_is_refused(step, message):
    with pytest.raises(ValidationError, match=message):
        Step.model_validate(step)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "publish", "says": "{n} of {day}: {rows} and {others}"}, "others should be one of day, n, rows"),
        ({"file": "a/*.json", "says": "{n} of {day}: {rows}"}, "day should be one of n, rows"),
        ({"results": "knobs", "says": "{n}: {rows}"}, "n should be one of rows"),
        ({"says": "{rows}"}, "one source: task, file or results"),
        ({"task": "publish", "results": "knobs", "says": "{rows}"}, "one source: task, file or results"),
        ({"file": "../secrets.env", "says": "{rows}"}, "inside the project"),
        ({"file": "/etc/passwd", "says": "{rows}"}, "inside the project"),
        ({"results": "../prove", "says": "{rows}"}, "should match pattern"),
    ],
)
def test_evidence_says_what_it_has_from_one_source(given, message):
    with pytest.raises(ValidationError, match=message):
        catalog.Evidence.model_validate({"show": ["rows"]} | given)


def test_a_walk_without_a_terminal_tells_every_step_and_runs_nothing(answers):
    done = answers("walk", "q01", "--no-run")
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    (question,) = [each for each in QUESTIONS if each.id == "q01"]
    for step in question.walk:
        assert " ".join(step.say.split()) in told
        assert all(f"$ {command}" in told for command in step.commands)
        assert not step.claim or f"Claim {', '.join(step.claim)}" in told
        if step.show:
            assert f"{step.show.partition(':')[0]}:{anchors.resolve_anchor(step.show)}" in told


@pytest.mark.parametrize("word", ["q04", "Q4", "4"])
def test_a_walk_may_begin_at_any_step(answers, word):
    done = answers("walk", word, "--from", "3", "--json")
    document = json.loads(done.output)
    (question,) = [each for each in QUESTIONS if each.id == "q04"]
    assert [step["step"] for step in document["steps"]] == list(range(3, len(question.walk) + 1))
    assert document["steps"][0]["say"] == question.walk[2].say
    lines = document["steps"][0]["excerpt"]
    assert lines["text"].splitlines()[0] == (PROJECT / lines["file"]).read_text().splitlines()[lines["first"] - 1]


def test_what_they_ask_comes_with_the_claim_that_answers_it(answers):
    done = answers("walk", "q06", "--ask")
    told = " ".join(done.output.split())
    (question,) = [each for each in QUESTIONS if each.id == "q06"]
    texts = {claim.id: " ".join(claim.text.split()) for claim in question.claims}
    for step in question.walk:
        assert (step.ask is not None) == bool(step.ask and step.ask in told)
        if step.ask:
            assert all(f"{claim} {texts[claim]}" in told for claim in step.claim)


def test_a_rehearsal_gives_the_answer_word_for_word(answers):
    done = answers("walk", "q03", "--rehearse")
    (question,) = [each for each in QUESTIONS if each.id == "q03"]
    assert " ".join(question.answer.split()) in " ".join(done.output.split())
    assert f"{len(question.answer.split())} words in 1 s" in done.output


@pytest.mark.claim("9.7")
def test_a_check_without_runs_looks_at_what_is_shown(answers, monkeypatch):
    assert answers("walk", "q09", "--check", "--no-run").exit_code == 0
    (question,) = [each for each in QUESTIONS if each.id == "q09"]
    gone = question.walk[0].model_copy(update={"show": "include/refunds.py:nothing"})
    broken = question.model_copy(update={"walk": [gone, *question.walk[1:]]})
    monkeypatch.setattr("answers.cli.walk.load_questions", lambda root: [broken])
    done = answers("walk", "q09", "--check", "--no-run", "--json")
    assert done.exit_code == 1
    problems = [step["problems"] for step in json.loads(done.output)["steps"]]
    assert problems[0] == ["anchor 'include/refunds.py:nothing': include/refunds.py has no 'nothing'"]
    assert not any(problems[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["q99"], "no question q99: there are q01"), (["q01", "--from", "99"], "the walk of q01 has ")],
)
def test_a_walk_that_does_not_exist_is_named(answers, arguments, message):
    done = answers("walk", *arguments)
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())


def test_a_sentence_ends_where_the_next_begins():
    assert walk.sentences("One.  Two\nis `q`. `Three` here?") == ["One.", "Two is `q`.", "`Three` here?"]


def test_an_exported_page_needs_no_server(answers, tmp_path, monkeypatch):
    monkeypatch.setenv("ANSWERS_RESULTS", str(tmp_path / "none"))  # with results, Git is asked what they are of
    done = answers("page", "--export", str(tmp_path / "site"))
    assert done.exit_code == 0, done.output
    index = (tmp_path / "site/index.html").read_text()
    assert index.index("static/data.js") < index.index("static/page.js")
    data = (tmp_path / "site/static/data.js").read_text()
    documents = json.loads(data.removeprefix("window.answersData = ").removesuffix(";\n"))
    assert {f"questions/{each.id}" for each in QUESTIONS} <= documents.keys()
    assert {file.name for file in (tmp_path / "site/static").iterdir()} == {
        "data.js",
        "icon-dark.svg",
        "icon.svg",
        "page.css",
        "page.js",
    }
