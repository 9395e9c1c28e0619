"""Compares what the page shows of questions and proof with the files, on this project and on a tiny one."""

import json
import re
import shutil

import pytest
import yaml

from answers.checkout import is_exercise
from answers.page import data, plots
from answers.page.evidence import dags_of
from answers.proof.catalog import CatalogError, load_faults, load_questions
from answers.proof.excerpts import excerpt
from answers.proof.results import SCHEMA, Hashes
from answers.proof.walk import sentences
from support import PROJECT
from support.tiny_project import Project

QUESTIONS = load_questions()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return what the page shows of this project where no proof has run: with results, Git is asked what they are of."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ANSWERS_RESULTS", str(tmp_path_factory.mktemp("results") / "none"))
        return data.documents(PROJECT, QUESTIONS)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Make a project of two claims, its results proven for the code as it is."""
    monkeypatch.delenv("ANSWERS_RESULTS", raising=False)
    project = Project(tmp_path / "tiny")
    project.write_faults({})
    record(project)
    return project


def record(project, **changes):
    """Write results of the tiny project as `answers prove` would."""
    hashes = Hashes(project.root)
    files = {name: hashes.of(name) for name in ("shop/price.py", "tests/unit/test_price.py")}
    about = {"tree": {"path": str(project.root), "digest": "of then"}, "files": files, "proven_text": "Right."}
    test = {"id": "tests/unit/test_price.py::test_nothing_costs_nothing", "outcome": "passed", "seconds": 0.1}
    fault = {"id": "1.1-drops-the-last", "title": "The last price is forgotten", "verdict": "caught", **about}
    claim = {"status": "proven", "reason": None, "tests": [test], "faults": [], **about}
    claims = {"1.1": claim | {"faults": [fault]} | changes, "1.2": claim}
    text = json.dumps({"schema": SCHEMA, "claims": claims, "commit": "abc", "written_at": "2026-01-01"})
    project.write("results/prove.json", text)


def states(project) -> dict[str, str]:
    claims = data.documents(project.root, load_questions(project.root))["questions/q01"]["claims"]
    return {claim["id"]: claim["state"] for claim in claims}


def note(project) -> str:
    return data.documents(project.root, load_questions(project.root))["questions"]["note"]


@pytest.mark.claim("9.7")
def test_a_proof_of_the_code_as_it_is_is_proven(tiny):
    assert states(tiny) == {"1.1": "proven", "1.2": "proven"}
    assert note(tiny) is None


@pytest.mark.claim("9.7")
@pytest.mark.parametrize("file", ["shop/price.py", "tests/unit/test_price.py"])
def test_a_changed_file_takes_the_mark_away_and_is_named(tiny, file):
    tiny.write(file, (tiny.root / file).read_text() + "\n# changed\n")
    (claim, _) = data.documents(tiny.root, load_questions(tiny.root))["questions/q01"]["claims"]
    assert (claim["state"], claim["changed"]) == ("proven, code changed since", [file])


@pytest.mark.claim("9.7")
@pytest.mark.parametrize(
    ("result", "state"),
    [
        ({"status": "failed", "reason": "test_x failed"}, "failing"),
        ({"status": "unproven", "reason": "skipped: no Java"}, "not proven"),
        ({"tree": {"path": "/of/another/machine", "digest": "of then"}}, "not proven"),
    ],
)
def test_what_did_not_pass_here_has_no_green_mark(tiny, result, state):
    record(tiny, **result)
    assert states(tiny) == {"1.1": state, "1.2": "proven"}


@pytest.mark.claim("9.7")
def test_outside_of_a_checkout_a_proof_of_another_place_stays_one_of_another_place(tiny, monkeypatch):
    """As in a container: nothing there tells which files are the project's, so two trees that differ may look the same."""
    monkeypatch.setattr(data, "tree_digest", lambda root: "of then")
    record(tiny, tree={"path": "/of/another/machine", "digest": "of then"})
    assert states(tiny)["1.1"] == "not proven"


@pytest.mark.claim("9.7")
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: None, "no proof has run in this place"),
        (lambda text: text[: len(text) // 2], "cannot be read, or holds no proof"),
        (lambda text: text.replace('"schema": 2', '"schema": 1'), "cannot be read, or holds no proof"),
        (lambda text: "[]", "cannot be read, or holds no proof"),
        (lambda text: text.replace('"files"', '"folders"'), "is damaged (KeyError"),
        (lambda text: text.replace('"faults": []', '"faults": 7'), "is damaged (TypeError"),
    ],
)
def test_without_good_results_nothing_is_proven_and_the_page_says_why(tiny, damage, why):
    path = tiny.root / "results/prove.json"
    text = damage(path.read_text())
    path.unlink() if text is None else path.write_text(text)
    assert states(tiny) == {"1.1": "not proven", "1.2": "not proven"}
    assert "Not proven here" in note(tiny)
    assert why in note(tiny)


def test_a_mistake_in_a_question_is_told_with_its_place_and_goes_when_it_is_mended(tiny, monkeypatch):
    monkeypatch.setattr(data, "LOOKS_APART", 0.0)
    site = data.Site(tiny.root)
    assert site.question("q01").title == "Prices"
    file = tiny.root / "include/questions/q01.yaml"
    good = file.read_text()
    file.write_text(good + "  nonsense: [\n")
    for _ in range(2):
        with pytest.raises(CatalogError, match=r"q01\.yaml, line \d+: not valid YAML"):
            site.documents()
    file.write_text(good)
    assert site.documents()["questions"]["questions"][0]["title"] == "Prices"


def test_a_change_of_the_project_is_seen_without_a_restart(tiny, monkeypatch):
    monkeypatch.setattr(data, "LOOKS_APART", 0.0)
    site = data.Site(tiny.root)
    before = site.documents()
    assert site.documents() is before, "it is read once while nothing changes"
    tiny.write("tests/unit/test_more.py", '@pytest.mark.claim("1.2")\ndef test_more(): ...\n')
    (_, claim) = site.documents()["questions/q01"]["claims"]
    assert "tests/unit/test_more.py::test_more" in [test["id"] for test in claim["tests"]]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_a_question_is_shown_whole(shown, question):
    page = shown[f"questions/{question.id}"]
    assert [" ".join(paragraph) for paragraph in page["answer"]] == [
        " ".join(paragraph.split()) for paragraph in question.answer.split("\n\n")
    ]
    assert page["words"] == len(question.answer.split()) <= 170
    assert [claim["text"] for claim in page["claims"]] == [claim.text for claim in question.claims]
    assert [pair["now"] for pair in page["then_now"]] == [pair.now for pair in question.then_now]
    for claim in page["claims"]:
        assert claim["tests"], claim["id"]
        for anchor in claim["anchors"]:
            file, _, symbol = anchor["anchor"].partition(":")
            lines = (PROJECT / file).read_text().splitlines()
            first, meant = anchor["first"], lines[anchor["line"] - 1]
            assert anchor["text"] == "\n".join(lines[first - 1 : first + 11])
            assert symbol.rpartition(".")[2] in meant or meant.startswith("with ")  # … as dag:, some lines below
            assert first <= anchor["line"] < first + 12


def test_lines_of_source_begin_with_what_belongs_to_them(tmp_path):
    (tmp_path / "a.py").write_text("import os\n\n# Why.\n@task\n@other\ndef one():\n    return 1\n")
    (tmp_path / "a.sql").write_text("SELECT a,\n  CASE\n  END AS b\nFROM t\n")
    (tmp_path / "a.yml").write_text("x: 1\n" + "# Comment.\n" * 9 + "y: 2\n")
    found = [excerpt(anchor, tmp_path) for anchor in ("a.py:one", "a.sql:b", "a.yml:y")]
    assert [(each.first, each.line) for each in found] == [(3, 6), (1, 3), (7, 11)]
    assert [each.text.splitlines()[0] for each in found] == ["# Why.", "SELECT a,", "# Comment."]


def test_commands_of_how_to_see_a_claim_can_be_copied(shown):
    (claim,) = [each for each in shown["questions/q05"]["claims"] if each["id"] == "5.5"]
    assert claim["commands"] == ["answers kafka dead-letters", "answers kafka replay"]
    for question in QUESTIONS:
        for claim in shown[f"questions/{question.id}"]["claims"]:
            said = re.findall(r"`([^`]*)`", claim["see"])
            assert set(claim["commands"]) <= set(said), claim["id"]
            bare = re.sub(r"`[^`]*`", "", claim["see"])
            unmarked = (
                r"\banswers (?:run|sql|fleet|kafka|secrets|prove|walk|deploy|roll|integrity|flights|up|demo|sla)\b"
            )
            assert not re.search(unmarked, bare), f"{claim['id']}: a command without backticks"


def test_where_nothing_has_run_the_page_says_what_would_leave_something_to_see(shown):
    made = {question.id: shown[f"questions/{question.id}"]["makes"] for question in QUESTIONS}
    assert made["q01"] == ["answers run q01 --date 2013-06-13"]
    assert made["q05"] == ["answers kafka up", "answers kafka produce --way event --count 20"]
    assert made["q09"] == ["answers run q09 --date 2013-06-13"], "its walk starts no run"
    assert all(each.startswith("answers ") for commands in made.values() for each in commands)


MEASURED = [
    (claim, each) for question in QUESTIONS for claim in question.claims for each in claim.evidence if each.results
]


@pytest.mark.parametrize(("claim", "each"), MEASURED, ids=[f"{claim.id}-{each.results}" for claim, each in MEASURED])
def test_what_was_measured_of_a_claim_is_told_with_its_numbers_and_source(shown, claim, each):
    (page,) = [one for one in shown[f"questions/{claim.question_id}"]["claims"] if one["id"] == claim.id]
    document = json.loads((PROJECT / f"bench/results/{each.results}.json").read_text())
    (said,) = [one for one in page["measured"] if f"{each.results}.json" in one["source"]]
    for name in each.show:
        value = document["result"]
        for key in name.split("."):
            value = value[key]
        assert str(value) in said["text"]
    assert "{" not in said["text"]
    assert document["machine"]["command"] in said["source"]


def test_a_record_that_lacks_a_number_tells_nothing(tmp_path):
    (question,) = [each for each in QUESTIONS if each.id == "q07"]
    shutil.copytree(PROJECT / "bench/results", tmp_path / "bench/results")
    assert [len(data.measured(claim, tmp_path)) for claim in question.claims if claim.id == "7.5"] == [1]
    for text in ('{"machine": {"command": "", "cpus": 1, "at": ""}, "result": {"worker": {}}}', '{"mach', "[]"):
        (tmp_path / "bench/results/q07_kills.json").write_text(text)
        assert [data.measured(claim, tmp_path) for claim in question.claims if claim.id == "7.5"] == [[]]


def test_an_answer_is_cut_where_a_sentence_ends():
    text = "It runs daily.  In 3.1 it changed: `a.b` stays. `dag` is next? Yes, e.g. here. q01 is one"
    assert sentences(text) == [
        "It runs daily.",
        "In 3.1 it changed: `a.b` stays.",
        "`dag` is next?",
        "Yes, e.g. here. q01 is one",
    ]


@pytest.mark.skipif(is_exercise(PROJECT), reason="a copy that was handed out has no faults")
def test_the_mistakes_are_shown_without_what_would_repair_them(shown):
    told = json.dumps(shown)
    known = load_faults()
    assert known
    assert [fault.id for fault in known if fault.id in told] == []
    assert '"find"' not in told
    assert '"break' not in told


def test_an_exercise_is_shown_without_what_would_solve_it(tmp_path):
    shutil.copytree(PROJECT / "exercises", tmp_path / "exercises")
    (file, *_) = (tmp_path / "exercises").glob("*/exercise.yaml")
    ticket = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(ticket | {"draft": True}))
    start = f"answers exercise start {ticket['id']}"
    drafted = [each for found in data.exercises(tmp_path).values() for each in found]
    assert start not in {each["start"] for each in drafted}
    file.write_text(yaml.safe_dump(ticket | {"draft": False}))
    (found,) = [each for each in data.exercises(tmp_path)[ticket["question"]] if each["start"] == start]
    assert (found["title"], found["minutes"]) == (ticket["title"], ticket["level"])
    assert found.keys() == {"title", "minutes", "skills", "start"}
    file.write_text("id: [")
    assert data.exercises(tmp_path) == {}, "a ticket that is wrong does not take the page along"


@pytest.mark.parametrize("file", sorted((PROJECT / "dags").rglob("*.py")), ids=lambda file: file.name)
def test_every_file_of_dags_belongs_to_a_question(file):
    name = file.relative_to(PROJECT / "dags").as_posix()
    assert data.question_of_file(name) in {question.id for question in QUESTIONS}


@pytest.mark.parametrize("file", ["", "sales.py", "q1.py", "old/faq01.py"])
def test_a_file_of_another_name_belongs_to_none(file):
    assert data.question_of_file(file) is None


def test_evidence_is_of_the_dags_that_the_claims_name_else_of_the_questions_own():
    found = {question.id: dags_of(question) for question in QUESTIONS}
    assert found["q01"] == ["q01_flights_to_clickhouse"]
    assert found["q04"] == ["fleet_transform_UA"]
    assert found["q05"] == ["q05_kafka_event", "q05_kafka_webhook", "q05_kafka_sensor"]
    assert found["q06"] == ["q06_partner_delivery"]


def test_plots_have_the_numbers_that_were_recorded(shown):
    stages = json.loads((PROJECT / "bench/results/stages.json").read_text())
    bars = {bar["label"]: bar["value"] for bar in shown["plots/stages"]["bars"]}
    assert bars["alone, transform spark"] == stages["result"]["alone"]["transform_spark"]["cpu_s_a_gb"]
    assert stages["machine"]["command"] in shown["plots/stages"]["made"]
    kills = {bar["label"]: bar["value"] for bar in shown["plots/q07_kills"]["bars"]}
    assert (kills["api server"], kills.get("scale")) == (59, None)
    deploys = json.loads((PROJECT / "bench/results/deploys.json").read_text())["result"]["longest_pause_s"]
    assert {bar["label"]: bar["value"] for bar in shown["plots/deploys"]["bars"]} == deploys
    weeks, lines = shown["plots/compliance"]["bars"], (PROJECT / "docs/images/sla.txt").read_text().splitlines()
    assert (weeks[0]["label"], len(weeks)) == ("2012-12-31", len(lines))
    assert weeks[0]["value"] == pytest.approx(100 * 5 / 6, abs=0.1)
    assert set(plots.PLOTS) | {"compliance"} == {name.removeprefix("plots/") for name in shown if "plots/" in name}


def test_a_record_that_is_cut_in_half_gives_no_plot(tmp_path):
    folder = tmp_path / "bench/results"
    shutil.copytree(PROJECT / "bench/results", folder)
    text = (folder / "knobs.json").read_text()
    (folder / "knobs.json").write_text(text[: len(text) // 2])
    (folder / "stages.json").write_text('{"result": {}, "machine": {}}')
    (folder / "kafka.json").write_text("[]")
    assert set(plots.PLOTS) - set(plots.plots(tmp_path)) == {"knobs", "stages", "kafka"}
