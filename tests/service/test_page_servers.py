"""Two API servers are two processes: what they say of the same project has to be the same, to the byte."""

import os
import subprocess
import sys

import pytest

from support import PROJECT

DIGESTS = """
import hashlib, json
from answers.page.data import documents
from answers.proof.catalog import ROOT, load_questions
for name, document in documents(ROOT, load_questions(ROOT)).items():
    print(name, hashlib.sha256(json.dumps(document).encode()).hexdigest())
"""


@pytest.mark.claim("9.7")
def test_two_processes_say_the_same_to_the_byte():
    """Python orders sets by hashes that differ from process to process; an ETag of one server would be unknown to another."""
    said = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(said[0].splitlines()) > 15
    assert said[0] == said[1]
