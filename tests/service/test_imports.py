"""Imports parts of the business in an interpreter of its own: they need little."""

import subprocess
import sys

import pytest

from support import PROJECT


def test_the_document_of_a_dag_needs_nothing_heavy():
    code = "import sys; from include.questions import doc_md; doc_md('q01'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert {"pydantic", "typer", "rich", "airflow", "pytest"} & set(done.stdout.split()) == set()


ROWS = [{"carrier": "B6", "cancelled": 3, "late": 2}, {"carrier": "UA", "cancelled": 0, "late": 1}]


@pytest.mark.claim("9.1")
def test_refunds_are_decided_without_airflow_and_without_a_database():
    """Run what decides in a process that cannot import Airflow."""
    code = f"""
import sys
sys.modules["airflow"] = None
from include import refunds
from datetime import date
found = refunds.make_notices({ROWS!r}, date(2013, 6, 13), refunds.make_clock("2013-07-04T12:00:00Z"))
print(refunds.send_notices(found, lambda path, body: None), {{"sqlalchemy", "chdb", "httpx"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "{'notices': 2, 'flights': 6, 'overdue': 2} set()\n", done.stderr
