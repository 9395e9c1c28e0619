"""Writes the page as files that need no server: the data are a script, because a page from a disk may fetch nothing."""

import json
from pathlib import Path

from answers.page.data import documents
from answers.proof.catalog import load_questions
from include.files import write_atomically

STATIC = Path(__file__).parent / "static"
SCRIPT = '<script src="static/page.js" defer></script>'


def write(root: Path, folder: Path) -> list[Path]:
    """Write the page of a project into a folder; files that are there are replaced.

    :raises CatalogError: a file of the catalogue is wrong. Nothing is written then.
    :raises OSError: the folder cannot be written.
    """
    data = json.dumps(documents(root, load_questions(root)), ensure_ascii=False, indent=1)
    contents = {f"static/{file.name}": file.read_text(encoding="utf-8") for file in sorted(STATIC.iterdir())}
    index = contents.pop("static/index.html")
    contents["static/data.js"] = f"window.answersData = {data};\n"
    contents["index.html"] = index.replace(SCRIPT, f'<script src="static/data.js" defer></script>\n{SCRIPT}')
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, text)
    return [folder / name for name in contents]
