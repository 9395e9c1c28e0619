"""detect-secrets over the files that standard input names; run as `python -m include.integrity.secrets ENTROPY`.

Writes [[file, line, rule, message], ...] as JSON. The value of a secret is never part of it.
"""

from __future__ import annotations

import json
import sys

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

NOISY = {"IPPublicDetector"}  # an address in a DAG is no secret
ENTROPY = {"Base64HighEntropyString", "HexHighEntropyString"}  # digests and ids are random-looking, too


def plugins(high_entropy: bool) -> list[str]:
    """The detectors that are used."""
    names = {cls.__name__ for cls in get_mapping_from_secret_type_to_class().values()}
    return sorted(names - NOISY - (set() if high_entropy else ENTROPY))


def main() -> None:
    """Scan."""
    files = sys.stdin.read().splitlines()
    found = []
    with transient_settings({"plugins_used": [{"name": name} for name in plugins(sys.argv[1] == "1")]}):
        for file in files:
            for secret in {(secret.line_number, secret.type) for secret in scan_file(file)}:
                found.append((file, secret[0], "AA701", f"looks like a secret ({secret[1]}); its value is not shown"))
    json.dump(sorted(found), sys.stdout)


if __name__ == "__main__":
    main()
