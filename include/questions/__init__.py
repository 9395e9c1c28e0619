"""Hold the questions, a YAML file each: answer, then and now, claims with their anchors.

A DAG file imports this module, so it needs nothing but `yaml`. The models are in answers/proof/catalog.py.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


@cache
def doc_md(question_id: str) -> str:
    """Return Markdown for a DAG's `doc_md`: the question, its answer, then and now, and the claims with their code anchors.

    :param question_id: such as `q01`: the name of its file.

    The text depends on the YAML file alone (no line numbers, no time), so that parsing a DAG twice gives the same DAG
    version.

    :raises FileNotFoundError: there is no such question.
    """
    with (FOLDER / f"{question_id}.yaml").open(encoding="utf-8") as file:
        # The C loader is ten times as fast; it is missing where PyYAML was built without libyaml.
        return markdown(yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506


def markdown(question: dict[str, Any]) -> str:
    """Return a question as Markdown, from what its YAML file says."""
    parts = [f"### {question['title']}", _quote(question["question"])]
    if question.get("answer"):
        parts.append(_one_line_paragraphs(question["answer"]))
    if question.get("then_now"):
        rows = [f"| {_cell(pair['then'])} | {_cell(pair['now'])} |" for pair in question["then_now"]]
        parts.append("\n".join(["| then | now |", "|---|---|", *rows]))
    for claim in question.get("claims") or []:
        anchors = [claim["anchor"]] if isinstance(claim["anchor"], str) else claim["anchor"]
        where = ", ".join(f"`{anchor}`" for anchor in anchors)
        parts.append(f"**{claim['id']}** {_words(claim['text'])} ({where})")
    return "\n\n".join(parts) + "\n"


def _words(text: str) -> str:
    return " ".join(text.split())


def _quote(text: str) -> str:
    return f"> {_words(text)}"


def _cell(text: str) -> str:
    return _words(text).replace("|", "\\|")


def _one_line_paragraphs(text: str) -> str:
    return "\n\n".join(_words(paragraph) for paragraph in text.strip().split("\n\n"))
