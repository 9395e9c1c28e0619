"""A tiny project with two claims of its own, on which `answers prove` itself is tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from answers.proof import copies
from include.waiting import patience

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import sys, typer
from pathlib import Path
from answers.proof import prove
prove.ROOT = Path(sys.argv.pop(1))
app = typer.Typer()
app.command()(prove.prove)
app()
"""
FAULT = {
    "id": "1.1-drops-the-last",
    "claim": "1.1",
    "title": "The last price is forgotten",
    "file": "shop/price.py",
    "find": "sum(prices)",
    "replace": "sum(prices[:-1])",
    "symptom": "Bills are too low.",
}
TEST = """
import pytest

@pytest.mark.claim("1.1")
@pytest.mark.parametrize("prices", [[1], [1, 2]])
def test_total_counts_every_price(prices):
    from shop.price import total
    assert total(prices) == {1: 1, 2: 3}[len(prices)]

@pytest.mark.claim("1.2")
def test_nothing_costs_nothing():
    from shop.price import total
    assert total([]) == 0
"""


class Project:
    """A project of one module with two claims, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("requirements.txt", "")
        self.write("shop/__init__.py", "")
        self.write("shop/price.py", 'CURRENCY = "EUR"\n\n\ndef total(prices):\n    return sum(prices)\n')
        self.write("tests/conftest.py", 'pytest_plugins = ["answers.proof.pytest_claims"]\n')
        self.write("tests/unit/test_price.py", TEST)
        self.write_question(claims=[self.claim("1.1"), self.claim("1.2")])

    @classmethod
    def at(cls, root: Path) -> "Project":
        """The project that is in a folder already."""
        project = cls.__new__(cls)
        project.root = root
        return project

    @staticmethod
    def claim(id_: str, anchor: str = "shop/price.py:total") -> dict[str, str]:
        return {"id": id_, "text": "Right.", "anchor": anchor, "see": "Look.", "break": "Change it."}

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def write_question(self, **fields: object) -> None:
        question = {"id": "q01", "title": "Prices", "answered": False, "question": "How much?"}
        self.write("include/questions/q01.yaml", yaml.safe_dump(question | fields))

    def write_faults(self, *changes: dict[str, object]) -> None:
        self.write("tests/faults/q01.yaml", yaml.safe_dump([FAULT | change for change in changes]))

    def start(self, *arguments: str) -> subprocess.Popen:
        scratch = self.root.parent / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), "COLUMNS": "200"}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the tiny project needs none, and each run starts faster
        command = [sys.executable, "-c", COMMAND, str(self.root), *arguments]
        return subprocess.Popen(
            command,
            env=environment,
            cwd=self.root.parent,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def prove(self, *arguments: str) -> subprocess.CompletedProcess:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=patience(120))
        assert list(self.root.parent.joinpath("scratch").iterdir()) == [], "scratch files are left behind"
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def claims(self) -> dict:
        return json.loads((self.root / "results/prove.json").read_text())["claims"]


ABOUT = {"kind": "fault", "question": "q01"}


def hand_out(project: Project, target: Path, prepare=lambda copy: None, **options) -> Path:
    """Hand a copy of the project out, as `answers prove --apply` does."""
    copies.hand_out(project.root, target, "# What is wrong here?\n", prepare, ABOUT, **options)
    return target
