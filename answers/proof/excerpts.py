"""Shows the lines of source that an anchor points at."""

from dataclasses import dataclass
from pathlib import Path

from answers.proof.anchors import line_in
from answers.proof.catalog import ROOT, CatalogError

LINES = 12


@dataclass(frozen=True)
class Excerpt:
    """Holds some lines of a file.

    :param line: the number of the first one, from 1.
    """

    anchor: str
    file: str
    line: int
    text: str


def excerpt(anchor: str, root: Path | None = None, lines: int = LINES) -> Excerpt:
    """Return the lines from that on which an anchor points at.

    :param root: the project's folder; this project when None.
    :raises CatalogError: the file or the symbol does not exist.
    """
    file = anchor.partition(":")[0]
    try:
        source = ((root or ROOT) / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"anchor {anchor!r}: {file} is not here, or is no text") from error
    line = line_in(source, anchor)
    return Excerpt(anchor, file, line, "\n".join(source.splitlines()[line - 1 : line - 1 + lines]))
