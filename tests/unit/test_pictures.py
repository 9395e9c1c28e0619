"""The pictures of README and docs: each has its text beside it, and shows what there still is."""

import re
import struct
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from answers.proof.catalog import load_questions
from bench import browser, pictures
from support import PROJECT

IMAGES = sorted(pictures.IMAGES.glob("*.[ps][nv]g"))
PLOTS = sorted((PROJECT / "bench" / "results").glob("*.png"))
MOST = 1440  # pixels


def width(file: Path) -> int:
    if file.suffix == ".svg":
        return int(float(re.search(r'<svg[^>]* width="([\d.]+)"', file.read_text())[1]))
    return struct.unpack(">I", file.read_bytes()[16:20])[0]


def beside(name: str) -> str:
    return (pictures.IMAGES / f"{name}.txt").read_text()


@pytest.mark.parametrize("file", [*IMAGES, *PLOTS], ids=lambda file: file.name)
def test_a_picture_is_not_too_wide_and_has_its_text_beside_it_without_a_path_of_a_machine(file):
    assert 600 < width(file) <= MOST
    text = file.with_suffix(".json" if file in PLOTS else ".txt").read_text()
    assert len(text) > 50
    seen = text + (file.read_text() if file.suffix == ".svg" else "")
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users|private|var)/", seen)
    assert "not answered yet" not in seen


def test_every_picture_that_a_page_shows_is_there_and_none_is_left_over():
    pages = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]
    shown = {
        (page.parent / link).resolve()
        for page in pages
        for link in re.findall(r"!\[[^\]]*\]\(([^)\s]+\.(?:png|svg))\)", page.read_text())
    }
    assert {file.resolve() for file in IMAGES} <= shown
    assert all(file.exists() for file in shown)


def rows(table: str) -> list[list[str]]:
    """The rows of a table that rich has drawn, each cell without the blanks at which its lines were broken."""
    found: list[list[str]] = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("│")]
        if len(cells) < 3:
            continue
        if cells[0]:
            found.append(cells)
        else:
            found[-1] = [before + more for before, more in zip(found[-1], cells, strict=True)]
    return [["".join(cell.split()) for cell in row] for row in found]


def test_the_picture_of_answers_prove_has_the_claims_as_they_are():
    text = beside("prove")
    assert f"$ answers prove {' '.join(pictures.CLAIMS)}" in text
    claims = {claim.id: claim for question in load_questions() for claim in question.claims}
    shown = {row[0]: row for row in rows(text)}
    assert shown.keys() == set(pictures.CLAIMS)
    for claim, row in shown.items():
        assert row[1] == "".join(claims[claim].text.split()), "run `make pictures ARGS=prove`"
        assert all(anchor.partition(":")[0] in row[2] for anchor in claims[claim].anchor), (
            "run `make pictures ARGS=prove`"
        )
        assert "proven" in row[-1]


def test_the_picture_of_the_user_interface_has_question_1s_tasks_as_they_are():
    dag = import_module("q01_flights_to_clickhouse").dag
    text = beside("ui")
    assert dag.dag_id in text
    assert f"{len(dag.tasks)} Task Instances" in text
    for task in dag.tasks:
        assert task.task_id in text, "run `make pictures ARGS=ui`"
        assert task.operator_name in text, "run `make pictures ARGS=ui`"


@pytest.mark.parametrize("name", ["answers", "evidence"])
def test_the_pictures_of_the_answers_page_have_question_1_as_it_is(name):
    (question,) = [each for each in load_questions() if each.id == "q01"]
    text = " ".join(beside(name).split())
    said = [question.title, *question.answer.split("\n\n"), *(claim.text for claim in question.claims)]
    for words in said:
        assert " ".join(words.replace("`", "").split()) in text, "run `make pictures ARGS=answers`"


def test_the_picture_of_compliance_is_what_is_drawn_today(tmp_path):
    drawn = pictures.sla(tmp_path)
    assert width(drawn[0]) <= MOST
    assert (tmp_path / "sla.txt").read_text() == beside("sla"), "run `make pictures ARGS=sla`"


def test_the_picture_of_the_alerts_has_those_that_there_are():
    groups = yaml.safe_load((PROJECT / "config/prometheus/rules.yml").read_text())["groups"]
    alerts = Counter(rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule)
    shown = Counter(re.findall(r"^(\w+) \(\d+ active\)$", beside("alert"), flags=re.M))
    assert shown == alerts, "run `make pictures ARGS=alert` with the compose stack's Prometheus up"


def test_without_chromium_it_is_said_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(browser.BrowserMissing, match="apt install chromium"), browser.browser(10, 10):
        pass
