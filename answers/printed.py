"""Reads what a child process has printed."""

from __future__ import annotations

import json
from typing import Any


def last_document(output: str | bytes) -> Any:
    """Return the JSON document in the last line: warnings of libraries may stand above it.

    :raises ValueError: there is none
    """
    return json.loads((output.splitlines() or [""])[-1])
