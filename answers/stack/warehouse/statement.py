"""Reads from a statement what an HTTP interface must know: whether it gives rows, in which format, and where its data begin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from answers.stack.warehouse.errors import QueryError

ROWS = {"SELECT", "WITH", "FROM", "VALUES", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK", "KILL"}
# What an INSERT has in place of FORMAT and data: the engine reads it as it is.
INLINE = {"VALUES", "SELECT", "WITH", "INFILE", "WATCH"}
OPENING, CLOSING = (b"(", b"["), (b")", b"]")
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
    """Tells what was read. `data_at` is where the data of an INSERT begin in its text, None for what has none."""

    verb: str
    gives_rows: bool
    format: str | None = None
    data_at: int | None = None


def read(text: bytes) -> Statement:
    """Read a statement. Of an INSERT with data no more than its beginning is needed.

    :raises QueryError: there is none, or there are several
    """
    words = _words(text)
    verb, _ = next(words, ("", 0))
    if not verb:
        raise QueryError(62, "Syntax error: the query is empty", "SYNTAX_ERROR")
    return _insert(text, words) if verb == "INSERT" else Statement(verb, verb in ROWS, _format(text, words))


def is_insert_with_data(beginning: bytes) -> bool:
    """Tell from the beginning of a statement whether the rest of it are data, and no SQL."""
    words = _words(beginning)
    verb, _ = next(words, ("", 0))
    return verb == "INSERT" and _insert(beginning, words).data_at is not None


def _insert(text: bytes, words: Iterator[tuple[str, int]]) -> Statement:
    before = ""
    for word, end in words:
        if before in ("INTO", "TABLE", "FUNCTION") and word not in ("TABLE", "FUNCTION"):
            word = ""  # a name, whatever it is
        if before == "FORMAT" and word:
            return Statement("INSERT", False, text[end - len(word) : end].decode(), _data_at(text, end))
        if word in INLINE:
            break
        before = word
    return Statement("INSERT", False)


def _format(text: bytes, words: Iterator[tuple[str, int]]) -> str | None:
    """Return the name behind the word FORMAT, which ends the statement, or has SETTINGS behind it."""
    found, before = None, ""
    for word, end in words:
        if found and word == "SETTINGS":
            return found
        found = text[end - len(word) : end].decode() if before == "FORMAT" and word else None
        before = word
    return found


def _words(text: bytes) -> Iterator[tuple[str, int]]:
    """Yield the words outside of brackets, texts and comments, in capitals, each with where it ends; "" for anything else.

    The first word may stand in brackets.

    :raises QueryError: there is something behind a semicolon
    """
    depth, ended, begun = 0, False, False
    for token in TOKEN.finditer(text):
        if token["blank"] is not None:
            continue
        if ended:
            raise QueryError(62, "Syntax error: multi-statements are not allowed", "SYNTAX_ERROR")
        ended = token["other"] == b";"
        depth += (token["other"] in OPENING) - (token["other"] in CLOSING)
        if token["word"] and (depth == 0 or not begun):
            begun = True
            yield token["word"].decode().upper(), token.end()
        elif begun and not ended:
            yield "", token.end()


def _data_at(text: bytes, end: int) -> int:
    """Return where data begin, as ClickHouse has it: behind blanks and one end of a line."""
    found = BEFORE_DATA.match(text, end)
    return found.end() if found else end
