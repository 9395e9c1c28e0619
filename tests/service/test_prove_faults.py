"""Runs `answers prove --faults` on a tiny project: a fault is caught, missed, or no fault at all."""

import os

import pytest

from answers.proof.runner import run_tests
from support.tiny_project import TEST


@pytest.mark.claim("9.5")
def test_a_fault_that_a_test_notices_is_caught(project):
    project.write_faults({})
    done = project.prove("--faults", "1.1")
    assert done.returncode == 0, done.stderr + done.stdout
    (fault,) = project.claims()["1.1"]["faults"]
    assert fault["verdict"] == "caught"
    assert fault["failing_test"].startswith("tests/unit/test_price.py::test_total_counts_every_price[")
    assert "sum(prices)" in (project.root / "shop/price.py").read_text(), "the project itself was changed"


def test_verdicts_outlive_a_later_run_of_the_claims(project):
    project.write_faults({})
    project.prove("--faults", "1.1")
    project.prove()
    assert project.claims()["1.1"]["faults"][0]["verdict"] == "caught"


@pytest.mark.claim("9.5")
def test_a_fault_that_no_test_notices_is_reported(project):
    project.write_faults({"find": '"EUR"', "replace": '"USD"'})
    done = project.prove("--faults", "1.1")
    assert done.returncode == 1
    assert project.claims()["1.1"]["faults"][0]["verdict"] == "not caught"
    assert "not caught" in done.stdout


@pytest.mark.claim("9.5")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"replace": "sum(prices"}, "SyntaxError: code that cannot be imported"),
        ({"find": "def total", "replace": "def sum_"}, "ImportError: code that cannot be imported"),
        ({"find": "average(prices)"}, "find: occurs 0 times in shop/price.py, must be exactly once"),
        ({"find": "prices"}, "find: occurs 2 times in shop/price.py, must be exactly once"),
        ({"file": "shop/tax.py"}, "cannot read shop/tax.py"),
        ({"tests": ["tests/unit/test_price.py::test_nothing_costs_nothing"]}, "claim 1.1 has no test"),
    ],
)
def test_a_fault_that_shows_nothing_is_an_error_and_not_caught(project, change, reason):
    project.write_faults(change)
    done = project.prove("--faults", "1.1")
    assert done.returncode == 1
    fault = project.claims()["1.1"]["faults"][0]
    assert fault["verdict"] == "error"
    assert reason in fault["reason"]


def test_a_fault_that_breaks_collection_is_an_error_and_not_caught(project):
    project.write("tests/unit/test_price.py", "from shop import price\n" + TEST)
    project.write_faults({"find": "def total", "replace": "raise RuntimeError\n\n\ndef total"})
    assert project.prove("--faults", "1.1").returncode == 1
    fault = project.claims()["1.1"]["faults"][0]
    assert fault["verdict"] == "error"
    assert "pytest ended with 2" in fault["reason"]


def test_a_test_that_hangs_and_cannot_be_failed_is_ended(project, monkeypatch):
    monkeypatch.setenv("ANSWERS_PATIENCE", "1")
    hangs = 'import pytest, threading\n@pytest.mark.claim("1.2")\ndef test_it(): threading.Event().wait()\n'
    project.write("tests/unit/test_hang.py", hangs)
    run = run_tests(project.root, ["tests/unit/test_hang.py"], dict(os.environ), patience=15)
    assert [test.outcome for test in run.of("1.2")] == ["unfinished"]
    assert run.output.endswith("ended, as it went on after 15 s")


@pytest.mark.claim("9.5")
def test_a_fault_proves_nothing_when_the_tests_fail_without_it(project):
    project.write("shop/price.py", "def total(prices):\n    return sum(prices) + 1\n")
    project.write_faults({})
    assert project.prove("--faults", "1.1").returncode == 1
    fault = project.claims()["1.1"]["faults"][0]
    assert fault["verdict"] == "error"
    assert fault["reason"].startswith("without the fault, ")


def test_faults_are_tried_side_by_side_and_only_by_the_tests_they_name(project):
    named = "tests/unit/test_price.py::test_total_counts_every_price"
    project.write_faults({"tests": [named]}, {"id": "1.2-one-too-many", "claim": "1.2", "replace": "sum(prices) + 1"})
    done = project.prove("--faults", "--jobs", "2")
    assert done.returncode == 0, done.stderr + done.stdout
    assert [claim["faults"][0]["verdict"] for claim in project.claims().values()] == ["caught", "caught"]


@pytest.mark.claim("9.5")
def test_a_claim_without_a_fault_is_not_proven_by_faults(project):
    project.write_faults({})
    done = project.prove("--faults")
    assert done.returncode == 1
    assert "no fault is known for: 1.2" in done.stdout
