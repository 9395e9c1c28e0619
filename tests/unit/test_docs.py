"""The documents that are made from the questions' files are as those files say."""

import shutil

import pytest
import yaml

from answers.proof import pages
from answers.proof.catalog import load_questions
from dag_integrity.marked import fill, write
from support import PROJECT


def test_readme_and_generated_pages_are_up_to_date(capsys):
    assert write(pages.pages(), pages.COMMAND, check=True) == 0, capsys.readouterr().err


@pytest.fixture
def copy(tmp_path):
    """The documents and questions of the project, with one question more: it has no page."""
    shutil.copytree(PROJECT / "include" / "questions", tmp_path / "include" / "questions")
    shutil.copytree(PROJECT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("images"))
    shutil.copy(PROJECT / "README.md", tmp_path)
    number = len(load_questions()) + 1
    question = yaml.safe_load((tmp_path / "include/questions/q01.yaml").read_text())
    question |= {"id": f"q{number:02}", "title": "One more", "claims": question["claims"][:1]}
    question["claims"][0] |= {"id": f"{number}.1"}
    (tmp_path / f"include/questions/q{number:02}.yaml").write_text(yaml.safe_dump(question))
    return tmp_path, number, question


def test_a_new_question_gets_its_row_and_its_page(copy, capsys):
    root, number, question = copy
    page = root / f"docs/q{number:02}.md"
    assert write(pages.pages(root), pages.COMMAND, check=True) == 1
    assert f"{page} is out of date: run make docs" in capsys.readouterr().err
    assert not page.exists()
    assert write(pages.pages(root), pages.COMMAND) == 0
    row = f"| {number} | [One more](docs/q{number:02}.md) | [q01_flights_to_clickhouse](dags/{question['dag']}) | ✅ 1 claim |"
    assert row in (root / "README.md").read_text()
    text = page.read_text()
    assert f"# Question {number} · One more" in text
    assert f"**{number}.1** {question['claims'][0]['text']}" in text
    assert write(pages.pages(root), pages.COMMAND, check=True) == 0


def test_a_stale_page_is_reported(copy, capsys):
    root, number, question = copy
    write(pages.pages(root), pages.COMMAND)
    file = root / f"include/questions/q{number:02}.yaml"
    file.write_text(yaml.safe_dump(question | {"title": "Renamed"}))
    assert write(pages.pages(root), pages.COMMAND, check=True) == 1
    told = capsys.readouterr().err
    assert f"docs/q{number:02}.md is out of date" in told
    assert "README.md is out of date" in told
    page = root / f"docs/q{number:02}.md"
    page.write_text("# Written by hand\n")
    write(pages.pages(root), pages.COMMAND)
    assert page.read_text() == "# Written by hand\n"


@pytest.mark.parametrize("text", ["no marks", "<!-- a: made by x -->\n<!-- end of a -->\n" * 2])
def test_a_document_without_one_place_for_a_part_is_refused(text):
    with pytest.raises(ValueError, match="should have the marks of a once"):
        fill(text, {"a": "1"})
