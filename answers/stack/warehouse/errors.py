"""Defines errors of the embedded warehouse, with ClickHouse's codes."""

from __future__ import annotations

import errno
import os
import re

CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
NAME = re.compile(r"\(([A-Z][A-Z0-9]*_[A-Z0-9_]+)\)")
AUTHENTICATION_FAILED, NOT_ENOUGH_SPACE, QUERY_WAS_CANCELLED = 516, 243, 394
NO_ROOM = "the disk of the warehouse is full: make room on it, then send the statement again. "
# As ClickHouse answers them; every other code is a 500.
STATUS = {
    62: 400,  # SYNTAX_ERROR
    36: 400,  # BAD_ARGUMENTS
    27: 400,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    53: 400,  # TYPE_MISMATCH
    60: 404,  # UNKNOWN_TABLE
    81: 404,  # UNKNOWN_DATABASE
    47: 404,  # UNKNOWN_IDENTIFIER
    46: 404,  # UNKNOWN_FUNCTION
    115: 404,  # UNKNOWN_SETTING
    48: 501,  # NOT_IMPLEMENTED
    159: 408,  # TIMEOUT_EXCEEDED
    AUTHENTICATION_FAILED: 403,
}


class QueryError(Exception):
    """A statement that failed: ClickHouse's code and text."""

    def __init__(self, code: int, text: str, name: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.name = code, text, name

    @classmethod
    def of(cls, error: Exception) -> QueryError:
        """Read code and text from what the engine raised, or this process."""
        if isinstance(error, cls):
            return error
        message = str(error)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return cls(NOT_ENOUGH_SPACE, NO_ROOM + message, "NOT_ENOUGH_SPACE")
        found = CODE.search(message)
        if found is None:
            return cls(1002, message, "UNKNOWN_EXCEPTION")
        text = message[found.end() :].strip()
        names = NAME.findall(text)
        full = int(found[1]) == NOT_ENOUGH_SPACE or os.strerror(errno.ENOSPC) in text
        return cls(int(found[1]), NO_ROOM + text if full else text, names[-1] if names else "")

    @property
    def status(self) -> int:
        """Return the status of an HTTP answer that says it."""
        return STATUS.get(self.code, 500)

    def body(self, version: str) -> bytes:
        """Word it as ClickHouse does."""
        name = "" if f"({self.name})" in self.text else f" ({self.name})"
        return f"Code: {self.code}. DB::Exception: {self.text}{name} (version {version})\n".encode()
