"""Looks for secrets in the code and in the configuration."""

import json
import subprocess
import sys

import pytest

from support import PROJECT

FOLDERS = ("dags", "plugins", "include", "answers", "packages/dag-integrity/src", "config", ".ci")


FILES = (
    "docker-compose.yaml",
    "docker-compose.rabbitmq.yaml",
    "Dockerfile",
    "Makefile",
    ".env.example",
    ".gitlab-ci.yml",
    "pyproject.toml",
)


# What looks like a secret and is none: file -> how many.
HARMLESS = {
    "answers/stack/parameters/contents.py": 2,  # the stand-ins for S3 and for Slack take any password
}


def scanned(files) -> dict[str, int]:
    """Return how many secrets detect-secrets sees in each file."""
    given = "\n".join(str(file) for file in files)
    command = [sys.executable, "-m", "dag_integrity.secrets", "0"]
    done = subprocess.run(command, input=given, cwd=PROJECT, capture_output=True, text=True, check=True)
    found = [file for file, *_ in json.loads(done.stdout)]
    return {file: found.count(file) for file in found}


@pytest.mark.claim("6.3")
def test_no_secret_is_in_the_code():
    kinds = {".py", ".sh", ".sql", ".yaml", ".yml", ".json", ".conf", ".env", ".toml", ""}
    below = (file for folder in FOLDERS for file in (PROJECT / folder).rglob("*"))
    files = [file.relative_to(PROJECT) for file in below if file.is_file() and file.suffix in kinds]
    assert len(files) > 100
    assert scanned([*files, *FILES]) == HARMLESS


@pytest.mark.claim("6.3")
def test_the_scan_would_see_one(tmp_path):
    file = tmp_path / "dag.py"
    file.write_text('AWS = "AKIAIOSFODNN7EXAMPLQ"\n')
    assert scanned([file]) == {str(file): 1}
