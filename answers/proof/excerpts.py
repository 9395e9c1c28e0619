"""Shows the lines of source that an anchor points at, with what stands above it and belongs to it."""

from dataclasses import dataclass
from pathlib import Path

from answers.proof.anchors import line_in
from answers.proof.catalog import ROOT, CatalogError

LINES = 12
ABOVE = 4  # lines, at most, of decorators and comments
INTRODUCES = ("@", "#", "--", "//")


@dataclass(frozen=True)
class Excerpt:
    """Holds some lines of a file.

    :param line: the number of the one that the anchor points at, from 1.
    :param first: the number of the first one.
    """

    anchor: str
    file: str
    line: int
    first: int
    text: str


def excerpt(anchor: str, root: Path | None = None, lines: int = LINES) -> Excerpt:
    """Return the lines around that which an anchor points at.

    :param root: the project's folder; this project when None.
    :raises CatalogError: the file or the symbol does not exist.
    """
    file = anchor.partition(":")[0]
    try:
        source = ((root or ROOT) / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"anchor {anchor!r}: {file} is not here, or is no text") from error
    line = line_in(source, anchor)
    whole = source.splitlines()
    first = _first(whole, line, file)
    return Excerpt(anchor, file, line, first, "\n".join(whole[first - 1 : first - 1 + lines]))


def _first(lines: list[str], line: int, file: str) -> int:
    """Return the number of the line to begin with.

    A column of SQL is named at the end of its expression, so some of that is shown, too.
    """
    earliest = max(1, line - ABOVE)
    if file.endswith(".sql"):
        return earliest
    first = line
    while first > earliest and lines[first - 2].strip().startswith(INTRODUCES):
        first -= 1
    return first
