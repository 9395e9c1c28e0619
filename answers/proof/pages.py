"""Writes the parts of the documents that are made from the questions' YAML files: `make docs`.

With --check, only says what is stale.

These are README's table of questions, and docs/qNN.md of a question without a page written by hand.
"""

import sys
from pathlib import Path

from answers.proof.catalog import ROOT, Question, load_questions
from dag_integrity.marked import fill, write
from include.questions import markdown

COMMAND = "make docs"
GENERATED = f"<!-- made by `{COMMAND}` from {{source}}: without this line the page is yours -->"


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Return the text that each generated page of the project should have, by its file.

    :raises CatalogError: a question's file is wrong
    :raises ValueError: README.md has no place for the table
    """
    questions = load_questions(root)
    readme = root / "README.md"
    found = {readme: fill(readme.read_text(encoding="utf-8"), {"questions": _table(questions)})}
    for question in questions:
        page = root / _page(question)
        mark = GENERATED.format(source=f"include/questions/{question.id}.yaml")
        if not page.exists() or page.read_text(encoding="utf-8").startswith(mark):
            found[page] = f"{mark}\n# Question {question.number} · {_body(question)}"
    return found


def _page(question: Question) -> str:
    return f"docs/{question.id}.md"


def _table(questions: list[Question]) -> str:
    rows = ["| | question | DAG | answered |", "|---|---|---|---|"]
    for question in questions:
        dag = f"[{Path(question.dag).stem}](dags/{question.dag})" if question.dag else ""
        claims = (
            f"✅ {len(question.claims)} claim{'s' * (len(question.claims) != 1)}" if question.answered else "not yet"
        )
        rows.append(f"| {question.number} | [{question.title}]({_page(question)}) | {dag} | {claims} |")
    return "\n".join(rows)


def _body(question: Question) -> str:
    """Return the question as its DAG shows it, and how to prove it."""
    text = markdown(question.model_dump()).removeprefix("### ")
    return f"{text}\nThe proof: `answers prove {question.id}`, and `answers prove {question.id} --faults`.\n"


if __name__ == "__main__":
    sys.exit(write(pages(), COMMAND, check="--check" in sys.argv[1:]))
