"""Adds a question to the project: four files from templates that are proven as they are."""

import re
from contextlib import suppress
from pathlib import Path
from string import Template

from answers.proof.catalog import FAULTS, QUESTIONS, load_questions
from answers.proof.templates import DAG, FAULT, QUESTION, TEST
from include.files import write_atomically

TITLE = re.compile(r"[\w][\w ,.:;'&()/%+-]{0,69}")  # characters that need no escape in YAML, Python and Markdown


class NewQuestionError(ValueError):
    """Reports that the question cannot be added. The message says why, and what to do."""


def add_question(root: Path, question: str, title: str) -> list[Path]:
    """Write the four files of a question: YAML, faults, DAG, test. All of them are there in the end, or none.

    The YAML file is written last, and it alone makes the question exist. What a killed command has left is completed.

    :param root: the project's folder
    :param question: its id, the one after the last, such as q11
    :param title: one line; the names of the DAG and its file are made of it
    :returns: the files, relative to `root`
    :raises NewQuestionError: id or title does not do, a file of the question exists, or one cannot be written
    :raises CatalogError: a file of the catalogue is wrong
    """
    _check(root, question, title)
    texts = _texts(question, title)
    for file in _files_of(root, question):
        path = root / file
        if not path.is_file() or texts.get(file) != path.read_text(encoding="utf-8"):
            raise NewQuestionError(f"{file} exists already: remove it, or edit it by hand")
    written: list[Path] = []
    try:
        for file, text in texts.items():
            written.append(root / file)
            write_atomically(root / file, text)
    except BaseException as error:
        for path in written:
            with suppress(OSError):  # the file that could not be written is not there
                path.unlink()
        if isinstance(error, OSError):
            raise NewQuestionError(f"{question} cannot be written: {error}; nothing was added") from error
        raise
    return list(texts)


def _check(root: Path, question: str, title: str) -> None:
    """Refuse an id or a title that does not do."""
    known = [each.id for each in load_questions(root)]
    following = f"q{len(known) + 1:02}"
    if question in known:
        raise NewQuestionError(
            f"{question} exists already: {QUESTIONS}/{question}.yaml. The next question is {following}"
        )
    if question != following:
        raise NewQuestionError(f"{question!r} is not the next question, which is {following}")
    if not TITLE.fullmatch(title) or not _slug(title):
        raise NewQuestionError(
            f"{title!r} cannot be a title: give one line of at most 70 characters, without quotation marks or brackets, that "
            "has a letter from a to z"
        )


def _slug(title: str) -> str:
    """Return a title as a part of a file's name: `data_contracts` for `Data contracts`."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "_".join(words)[:40].rstrip("_") if any(re.search("[a-z]", word) for word in words) else ""


def _texts(question: str, title: str) -> dict[Path, str]:
    """Return the text of each file, the YAML last."""
    name = f"{question}_{_slug(title)}"
    values = {"id": question, "number": int(question[1:]), "title": title, "name": name}
    templates = {
        f"dags/{name}.py": DAG,
        f"tests/dag/test_{question}.py": TEST,
        f"{FAULTS}/{question}.yaml": FAULT,
        f"{QUESTIONS}/{question}.yaml": QUESTION,
    }
    return {Path(file): Template(text).substitute(values) for file, text in templates.items()}


def _files_of(root: Path, question: str) -> list[Path]:
    """List the files of a question that exist, relative to the root."""
    patterns = (
        f"dags/{question}_*.py",
        f"tests/dag/test_{question}.py",
        f"tests/dag/test_{question}_*.py",
        f"{FAULTS}/{question}.yaml",
    )
    return [path.relative_to(root) for pattern in patterns for path in sorted(root.glob(pattern))]
