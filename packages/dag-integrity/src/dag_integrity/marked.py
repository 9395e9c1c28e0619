"""Fills the parts of Markdown files that are made from code, each between two marks.

A part called `rules` stands between `<!-- rules: made by COMMAND -->` and `<!-- end of rules -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path


def fill(text: str, parts: Mapping[str, str]) -> str:
    """Return the text with each part between its marks.

    :param parts: the content of each part, by its name
    :raises ValueError: a part's marks are missing, or occur twice
    """
    for name, part in parts.items():
        places = list(re.finditer(rf"<!-- {name}: made by [^\n]+ -->\n(.*?)<!-- end of {name} -->", text, flags=re.S))
        if len(places) != 1:
            raise ValueError(f"should have the marks of {name} once, and has them {len(places)} times")
        text = f"{text[: places[0].start(1)]}\n{part}\n\n{text[places[0].end(1) :]}"
    return text


def write(pages: Mapping[Path, str], command: str, check: bool = False) -> int:
    """Write the pages that are not as they should be, or only say which.

    :param pages: the text that each file should have
    :param command: what a reader runs to write them
    :param check: only say which are out of date
    :returns: the exit code: 1 when a page is out of date and is left so
    """
    stale = [file for file, text in pages.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in stale:
        if check:
            print(f"{file} is out of date: run {command}", file=sys.stderr)
        else:
            file.write_text(pages[file], encoding="utf-8")
    return int(check and bool(stale))
