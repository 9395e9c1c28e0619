"""The rules of the house that no linter knows: a mechanism lives in one place."""

import ast
import re
from pathlib import Path

import pytest

from answers.proof.catalog import ROOT
from support.imports import at_the_top, packages, that_save_nothing

# What speaks of Airflow's REST API or of the catcher by its address. A docstring that names an address is one, too.
ADDRESS = re.compile(
    r"/(dagRuns|taskInstances|xcomEntries|variables/|importErrors|parseDagFile|assets/|pools|connections\"|messages)"
    r"|f?\"/?(\{[^}]*\})?/dags(/\{|\?)"
    r"|\"logical_date\": None|\"is_paused\":"
)
SPEAKS_TO_AIRFLOW = {"answers/stack/endpoints.py", "answers/stack/catcher.py"}
# Paths of the parameter store, and of Airflow's pages as a link in a message.
OTHER_PATHS = {"answers/stack/parameters/names.py"}


def modules() -> list[Path]:
    return [file for room in ("answers", "bench") for file in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("file", modules(), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_address_of_the_rest_api_is_built_by_hand(file):
    name = file.relative_to(ROOT).as_posix()
    by_hand = [line.strip() for line in file.read_text().splitlines() if ADDRESS.search(line)]
    if name in SPEAKS_TO_AIRFLOW:
        assert by_hand, "the pattern no longer finds what it is for"
    elif name not in OTHER_PATHS:
        assert by_hand == [], f"{name} builds an address by hand: a method of answers/stack/endpoints.py is its place"


# What the client of the tests' Airflow has a method for. The attack does without it, and question 6 reads every page.
HAS_A_METHOD = re.compile(
    r"\"POST\", f?\"/dags/[^/\"]+/dagRuns\"|\"(GET|PATCH)\", f?\"/variables/|\"is_paused\":|\"/(importErrors|pools)\""
    r"|pages\(f?\"/dags(/[^/\"]+/dagRuns)?[\"?]|\"DELETE\", f?\"/dags/[^/\"]+/dagRuns/[^/\"]+\"|\"POST\", \"/connections\""
)


def test_tests_speak_to_airflow_by_the_methods_of_its_client():
    assert HAS_A_METHOD.search('airflow.pages(f"/dags/{dag_id}/dagRuns?state=queued", "dag_runs")')
    by_hand = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        if file.name not in ("attack.py", "test_house.py")
        for line in file.read_text().splitlines()
        if HAS_A_METHOD.search(line)
    ]
    assert by_hand == []


RELATIVE = {"How", "That", "Those", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why"}


def test_a_docstring_is_a_sentence_that_begins_with_no_relative_pronoun():
    wrong = []
    for room in ("answers", "bench", "dags", "include", "packages/dag-integrity/src", "plugins"):
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    words = (ast.get_docstring(node) or "-").split()
                    if words[0].strip(".,:;") in RELATIVE:
                        wrong.append(f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {' '.join(words[:8])}")
    assert wrong == []


def test_no_test_module_imports_another():
    """Find what tests share in tests/support alone; a module of tests runs on its own."""
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "packages").glob("*/tests/test_*.py")]
    pattern = re.compile(r"^\s*(?:from|import) (?:[\w.]+\.)?test_\w+", re.M)
    assert len(files) > 100
    assert [file.relative_to(ROOT).as_posix() for file in files if pattern.search(file.read_text())] == []


LONGEST = 300  # lines
# A longer file says in its docstring why it is not cut.
LONGER = {"answers/deploy/deploy.py"}


def test_no_file_is_long_without_a_reason():
    """Packages have a limit of their own."""
    lines = {}
    for room in ("answers", "bench", "dags", "include", "plugins", "tests", ".ci", "config"):
        for file in (ROOT / room).rglob("*.py"):
            lines[file.relative_to(ROOT).as_posix()] = len(file.read_text().splitlines())
    assert len(lines) > 200
    assert {name for name, count in lines.items() if count > LONGEST} == LONGER
    for name in LONGER:
        assert "longer than others since" in (ast.get_docstring(ast.parse((ROOT / name).read_text())) or "")


# Not in dags/, whose tasks import what only they run, nor where commands and the steps of an exercise do so.
HOISTED = [
    file
    for room in ("answers", "include", "plugins")
    for file in sorted((ROOT / room).rglob("*.py"))
    if not any(file.is_relative_to(ROOT / folder) for folder in ("answers/cli", "answers/exercise"))
]


def test_an_import_inside_a_function_saves_a_parse_or_a_start_up():
    assert len(HOISTED) > 100
    assert [line for file in HOISTED for line in that_save_nothing(file)] == []


# Packages that take 30 ms of CPU time and more, each.
HEAVY = {"airflow", "boto3", "chdb", "clickhouse_connect", "confluent_kafka", "cryptography", "matplotlib", "moto", "numpy",
         "pandas", "psycopg2", "pyarrow", "pyspark", "pytest", "sqlalchemy", "tenacity"}  # fmt: skip


def test_the_help_of_the_command_loads_nothing_heavy():
    assert packages("answers.cli.app") & HEAVY == set()
    assert "dag_integrity" not in packages("answers.cli.app"), "the image has no checker"
    assert packages("answers.stack.lifecycle") >= {"httpx", "psutil"}, "the question is asked rightly"


def test_what_dag_files_import_at_their_top_loads_nothing_heavy_but_airflow():
    """They are parsed again and again."""
    named = {module for file in (ROOT / "dags").glob("*.py") for module in at_the_top(file)}
    assert {"include.questions", "plugins.failures"} <= named
    assert {module: found for module in named if (found := packages(module) & HEAVY - {"airflow"})} == {}
