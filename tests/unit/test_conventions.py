"""Conventions of CONTRIBUTING.md that no linter knows."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
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
        if file.name not in ("attack.py", "test_conventions.py")
        for line in file.read_text().splitlines()
        if HAS_A_METHOD.search(line)
    ]
    assert by_hand == []


ROOMS = ("answers", "bench", "config", "dags", "include", "packages/dag-integrity/src", "plugins", ".ci")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# First words of docstrings. A new one is added there, if it is a verb: "Return the days", not "Days of the interval".
VERBS = (ROOT / "tests" / "support" / "verbs.txt").read_text().split()


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def documented() -> Iterator[tuple[Path, ast.AST, str]]:
    """Yield (file, node, docstring) of what has one."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(tree(file)):
                if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                    yield file, node, text


def place(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def test_docstrings_of_modules_and_functions_begin_with_a_verb():
    """A class may begin with what an instance of it is; a DAG's file begins with its question."""
    wrong = [
        f"{place(file, node)}: {text[:60]}"
        for file, node, text in documented()
        if not isinstance(node, ast.ClassDef) and not (isinstance(node, ast.Module) and file.parent.name == "dags")
        if text.split()[0].strip(".,:;") not in VERBS
    ]
    assert wrong == []


def names_in(module: ast.Module) -> set[str]:
    """Return what the code of a module calls, binds or takes by name."""
    found = set()
    for node in ast.walk(module):
        for field in ("name", "id", "attr", "arg"):
            if isinstance(name := getattr(node, field, None), str):
                found.add(name.partition(".")[0])
    return found


@pytest.fixture(scope="module")
def names() -> dict[Path, set[str]]:
    return {file: names_in(tree(file)) for room in ROOMS for file in (ROOT / room).rglob("*.py")}


def test_errors_and_functions_that_docstrings_name_exist(names):
    known = set(dir(builtins)).union(*names.values())
    wrong = []
    for file, node, text in documented():
        for error in re.findall(r":raises ([\w.]+)", text):
            if "." not in error and error not in known:  # one with a dot is a library's
                wrong.append(f"{place(file, node)}: :raises {error}")
        for function in re.findall(r"^- `(\w+)\(", text, re.M):  # a list of what the module offers
            if function not in names[file]:
                wrong.append(f"{place(file, node)}: {function}()")
    assert wrong == []


REFERENCE = re.compile(r"(?:\b[Ss]ee `?|`)([a-z_]\w*)\.([a-z_]\w*)\b(?![.(])")
SUFFIXES = {"py", "yaml", "md", "toml", "env", "json", "sql", "sh", "conf", "html", "csv", "parquet"}


def test_what_comments_and_docstrings_refer_to_exists(names):
    """`module.name` and "see module.name" of a module of this project."""
    modules: dict[str, set[str]] = {}
    for file, found in names.items():
        modules.setdefault(file.stem, set()).update(found)
    seen, wrong = 0, []
    for file in names:
        for line, text in enumerate(file.read_text().splitlines(), start=1):
            if "#" not in text and '"' in text and '"""' not in text:
                continue  # a message or a statement in a string
            for module, name in REFERENCE.findall(text):
                if module in modules and name not in SUFFIXES:
                    seen += 1
                    if name not in modules[module]:
                        wrong.append(f"{file.relative_to(ROOT)}:{line}: {module}.{name}")
    assert seen > 5
    assert wrong == []


SPEAKS_TO_THE_WAREHOUSE = re.compile(r"\bclient\.(query|command)\(|\.open_warehouse\(")


def test_the_guide_to_a_second_warehouse_names_every_file_that_speaks_to_it():
    guide = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a warehouse")[2].partition("\n## ")[0]
    files = [
        file.relative_to(ROOT)
        for room in ("answers", "dags", "include", "plugins")
        for file in sorted((ROOT / room).rglob("*.py"))
        if SPEAKS_TO_THE_WAREHOUSE.search(file.read_text())
    ]
    assert len(files) > 10
    assert [
        file.as_posix() for file in files if file.name not in guide and f"`{file.parent.as_posix()}`" not in guide
    ] == []


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
