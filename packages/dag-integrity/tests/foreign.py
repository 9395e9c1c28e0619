"""Checks the example DAGs that come with Airflow and its providers, and writes the list of what is found.

`python foreign.py` prints the list with the verdicts that foreign.yaml has already; what is new is marked as open. Someone has
to look at each of those.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import yaml

LIST = Path(__file__).with_name("foreign.yaml")
Key = tuple[str, str]  # file, rule


def examples() -> dict[str, Path]:
    """The folders of example DAGs in the installed wheels: {short name: folder}."""
    spec = importlib.util.find_spec("airflow")
    roots = [Path(each) for each in (spec.submodule_search_locations or ())] if spec else []
    folders = {each for root in roots for each in root.rglob("example_dags") if each.is_dir()}
    return {"-".join(each.relative_to(root).parts[:-1]) or "core": each for root in roots for each in sorted(folders)}


def found_in(folder: Path) -> Counter[Key]:
    """Return what the checker finds in copies of the examples: how many findings of a rule in a file.

    :param folder: an empty folder
    """
    from projects import check

    (folder / "pyproject.toml").write_text(
        "[tool.dag-integrity]\nparse-budget = 3600\nimport-budget = 3600\ntimeout = 600\n"
    )
    for name, source in examples().items():
        shutil.copytree(source, folder / "dags" / name, ignore=shutil.ignore_patterns("__pycache__"))
    findings, _, errors = check(folder / "dags", AIRFLOW__CORE__LOAD_EXAMPLES="True")
    if not findings:
        raise RuntimeError(errors)
    return Counter((str(Path(each["file"]).relative_to(folder / "dags")), each["rule"]) for each in findings)


def recorded() -> dict[Key, dict[str, object]]:
    """The list: (file, rule) -> count, verdict and reason."""
    entries = yaml.safe_load(LIST.read_text(encoding="utf-8"))["findings"]
    return {(each["file"], each["rule"]): each for each in entries}


def main() -> None:
    """Print the list anew."""
    old = recorded() if LIST.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        counts = found_in(Path(folder))
    entries = []
    for (file, rule), count in sorted(counts.items()):
        before = old.get((file, rule), {})
        why = before.get("why", "")
        entries.append(
            {"file": file, "rule": rule, "count": count, "verdict": before.get("verdict", "open"), "why": why}
        )
    yaml.safe_dump({"findings": entries}, sys.stdout, sort_keys=False, width=130)


if __name__ == "__main__":
    main()
