"""detect-secrets over the files that standard input names; run as `python -m dag_integrity.secrets ENTROPY`.

Writes [[file, line, rule, message], ...] as JSON. The value of a secret is never part of it.
"""

from __future__ import annotations

import json
import re
import sys

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

NOISY = {"IPPublicDetector"}  # an address in a DAG is no secret
ENTROPY = {"Base64HighEntropyString", "HexHighEntropyString"}  # digests and ids are random-looking, too


def plugins(high_entropy: bool) -> list[str]:
    """The detectors that are used."""
    mapping: dict[str, type] = get_mapping_from_secret_type_to_class()
    names = {each.__name__ for each in mapping.values()}
    return sorted(names - NOISY - (set() if high_entropy else ENTROPY))


def is_name(text: str | None) -> bool:
    """Whether it is the name of a secret rather than one: three words or more, as in `bugzilla_bot_api_key`."""
    return re.fullmatch(r"[A-Za-z]+(?:(?:__|[-_./ ])[A-Za-z0-9]+){2,}", text or "") is not None and not re.search(
        r"\d{3}|\d[A-Za-z]+\d", text or ""
    )


def main() -> None:
    """Scan."""
    files = sys.stdin.read().splitlines()
    found = []
    with transient_settings({"plugins_used": [{"name": name} for name in plugins(sys.argv[1] == "1")]}):
        for file in files:
            for line, kind in {
                (each.line_number, each.type) for each in scan_file(file) if not is_name(each.secret_value)
            }:
                found.append((file, line, "AA701", f"looks like a secret ({kind}); its value is not shown"))
    json.dump(sorted(found), sys.stdout)


if __name__ == "__main__":
    main()
