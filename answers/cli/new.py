"""Defines `answers new`: adds a question."""

from __future__ import annotations

from typing import Annotated

import typer

from answers.console import out, readable_errors
from answers.proof.catalog import ROOT, CatalogError
from answers.proof.new import add_question


def new(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The next question, such as q11.")],
    title: Annotated[
        str, typer.Option(help="One line. The names of the DAG and its file are made of it.")
    ] = "A new question",
) -> None:
    """Add a question: YAML, DAG, test and fault, from templates that are proven as they are.

    Writes four files, or none. A question that exists is left as it is. Exit code 1 then.
    """
    with readable_errors():
        try:
            files = add_question(ROOT, question, title)
        except CatalogError as error:
            raise ValueError(str(error)) from error
    for file in files:
        out.print(f"wrote {file}", markup=False, highlight=False)
    out.print(
        "\nNext:\n"
        f"1. `answers prove {question}` and `answers prove {question} --faults`: the templates are proven and caught.\n"
        f"2. Make them yours, beginning with {files[-1]}. Then set `answered: true` there.\n"
        "3. `make docs` writes its row of README.md and its page in docs/.\n"
        "4. `make test` shows what is missing. CONTRIBUTING.md says more.",
        markup=False,
        highlight=False,
    )
