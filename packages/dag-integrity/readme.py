"""Writes the tables of README.md that are made from the code: rules and configuration. With --check, only tells.

Run it after a change of rules or configuration: `make docs`, or `python packages/dag-integrity/readme.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dag_integrity.config import Config
from dag_integrity.marked import fill, write
from dag_integrity.report import rules_as_markdown
from dag_integrity.rules import RULES

README = Path(__file__).with_name("README.md")


def configuration() -> str:
    """Return the table of the keys of [tool.dag-integrity]."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in Config.model_fields.items():
        default = "pandas, numpy, ..." if name == "heavy_imports" else f"`{field.default!r}`".replace("'", '"')
        default = {"`None`": "none", "`True`": "true", "`False`": "false"}.get(default, default)
        rows.append(f"| `{name.replace('_', '-')}` | {default} | {field.description} |")
    return "\n".join(rows)


def main() -> int:
    """Write or check; returns the exit code."""
    tables = {"rules": rules_as_markdown(RULES.values()), "configuration": configuration()}
    text = fill(README.read_text(encoding="utf-8"), tables)
    return write({README: text}, f"python {Path(__file__).name}", check="--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
