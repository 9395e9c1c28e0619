"""Reads from a statement's text what an HTTP interface must know: whether it gives rows, in which format, and where its data begin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from answers.stack.warehouse.errors import QueryError

ROWS = {"SELECT", "WITH", "FROM", "VALUES", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK", "KILL"}
# What an INSERT has in place of FORMAT and data: the engine reads it as it is.
INLINE = {"VALUES", "SELECT", "WITH", "INFILE", "WATCH"}
TOKEN = re.compile(
    rb"(?P<blank>\s+|--[^\n]*|#[! ][^\n]*|/\*.*?\*/)"
    rb"|(?P<word>[A-Za-z_]\w*)"
    rb"|(?P<text>'(?:\\.|''|[^'\\])*'|`(?:\\.|[^`\\])*`|\"(?:\\.|[^\"\\])*\")"
    rb"|(?P<other>\d[\w.]*|.)",
    re.DOTALL,
)
BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")


@dataclass(frozen=True)
class Statement:
    """What was read. `data_at` is where the data of an INSERT begin in its text, None for what has none."""

    verb: str
    gives_rows: bool
    format: str | None = None
    data_at: int | None = None


def read(text: bytes) -> Statement:
    """Read a statement. Of an INSERT with data no more than its beginning is needed.

    :raises QueryError: there is none, or there are several
    """
    verb, depth, format_, ended, before = "", 0, None, False, ""
    for token in _tokens(text):
        word = token["word"].decode().upper() if token["word"] else ""
        if ended:
            raise QueryError(62, "Syntax error: multi-statements are not allowed", "SYNTAX_ERROR")
        if token["other"] in (b"(", b"["):
            depth += 1
        elif token["other"] in (b")", b"]"):
            depth -= 1
        elif token["other"] == b";":
            ended = True
        elif word and not verb:
            verb = word
        elif depth == 0 and before == "FORMAT" and word:
            format_ = token["word"].decode()
            if verb == "INSERT":
                return Statement(verb, False, format_, _data_at(text, token.end()))
        elif depth == 0 and verb == "INSERT" and word in INLINE and before != "INTO":
            return Statement(verb, False)
        before = word
    if not verb:
        raise QueryError(62, "Syntax error: the query is empty", "SYNTAX_ERROR")
    return Statement(verb, verb in ROWS, format_)


def _tokens(text: bytes) -> Iterator[re.Match[bytes]]:
    return (token for token in TOKEN.finditer(text) if token["blank"] is None)


def _data_at(text: bytes, end: int) -> int:
    """Return where data begin, as ClickHouse has it: behind blanks and one end of a line."""
    found = BEFORE_DATA.match(text, end)
    return found.end() if found else end
