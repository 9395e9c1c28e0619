"""The designs of the project's own tickets follow the code that they change. `answers exercise prove` runs them, nightly."""

import subprocess

import pytest

from answers.exercise import catalogue
from answers.proof.catalog import ROOT

DESIGNS = [patch for ticket in catalogue.load_all(ROOT) for patch in ticket.designs.values()]


@pytest.mark.parametrize("patch", DESIGNS, ids=lambda patch: f"{patch.parents[2].name}-{patch.parent.name}")
def test_a_design_fits_the_code(patch):
    done = subprocess.run(["git", "apply", "--check", str(patch)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{patch}: {done.stderr}"
