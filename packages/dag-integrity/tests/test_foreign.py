"""Checks code that nobody here wrote: each finding in the example DAGs of Airflow and its providers has a verdict."""

from importlib.metadata import version
from importlib.util import find_spec

import foreign
import pytest

from dag_integrity.rules import RULES

pytestmark = pytest.mark.claim("9.3")


def test_every_verdict_is_one_with_a_reason():
    for (file, rule), entry in foreign.recorded().items():
        assert rule in RULES
        assert entry["verdict"] in ("right", "ours"), f"{file} {rule}: somebody has to look at it"
        assert len(str(entry["why"])) > 10, f"{file} {rule}"


def test_no_error_is_a_bug_of_ours():
    wrong = [
        key
        for key, entry in foreign.recorded().items()
        if entry["verdict"] == "ours" and RULES[key[1]].severity == "error"
    ]
    assert wrong == []


@pytest.mark.skipif(
    version("apache-airflow-core") != "3.3.2" or not find_spec("kubernetes"),
    reason="the list was made with the examples of Airflow 3.3.2, its providers and Kubernetes' client",
)
def test_the_check_finds_what_the_list_says_and_nothing_else(tmp_path):
    found = foreign.found_in(tmp_path)
    assert dict(found) == {key: entry["count"] for key, entry in foreign.recorded().items()}
