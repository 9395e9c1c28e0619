"""Writes the tables of README.md that are made from the code: rules and configuration. With --check, only tells.

Run it after a change of rules or configuration: `python packages/dag-integrity/readme.py`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from dag_integrity.config import Config
from dag_integrity.report import rules_as_markdown
from dag_integrity.rules import RULES

README = Path(__file__).with_name("README.md")


def configuration() -> str:
    """The table of the keys of [tool.dag-integrity]."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in Config.model_fields.items():
        default = "pandas, numpy, ..." if name == "heavy_imports" else f"`{field.default!r}`".replace("'", '"')
        default = {"`None`": "none", "`True`": "true", "`False`": "false"}.get(default, default)
        rows.append(f"| `{name.replace('_', '-')}` | {default} | {field.description} |")
    return "\n".join(rows)


def main() -> int:
    """Write or check; returns the exit code."""
    before = README.read_text(encoding="utf-8")
    text = before
    for name, table in (("rules", rules_as_markdown(RULES.values())), ("configuration", configuration())):
        pattern = rf"(<!-- {name}: made by readme.py -->\n).*?(<!-- end of {name} -->)"
        text, count = re.subn(
            pattern, lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"{README}: should have the marks of {name} once")
    if "--check" in sys.argv[1:]:
        if text != before:
            print(f"{README} is out of date: run python {Path(__file__).name}", file=sys.stderr)
        return int(text != before)
    README.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
