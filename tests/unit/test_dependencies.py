"""Tells what each room imports is declared for those who run it: groups of pyproject.toml, the lock, and the image's group."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from support import PROJECT

CHECKER = "packages/dag-integrity"
# Where the modules of this project begin: the roots of pytest's pythonpath, the CI's scripts, Airflow's folder of plugins.
ROOTS = (".", f"{CHECKER}/src", f"{CHECKER}/tests", "tests", "dags", ".ci", "plugins")
OWN = {
    path.stem
    for root in ROOTS
    for path in (PROJECT / root).iterdir()
    if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py"))) or path.name == "tests"
}
IMAGE = {"airflow", "kubernetes"}
STACK = {*IMAGE, "embedded", "command"}
ROOMS = {
    "config": {"airflow"},
    "dags": {"airflow"},
    "include": {"airflow"},
    "plugins": {"airflow"},
    "answers": STACK,
    f"{CHECKER}/src": {CHECKER},
    f"{CHECKER}/tests": {*STACK, CHECKER, "dev"},
    "bench": {*STACK, CHECKER, "dev"},
    "tests": {*STACK, CHECKER, "dev"},
}
# bench/shapes makes an environment of its own for each orchestrator that it compares with.
ELSEWHERE = {"bench": {"dagster", "prefect"}}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list) -> set[str]:
    return {canonical(re.match(r"[\w.-]+", each)[0]) for each in requirements}


@cache
def declared() -> dict[str, set[str]]:
    """The distributions of each group, and of the checker."""
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
    checker = tomllib.loads((PROJECT / CHECKER / "pyproject.toml").read_text())["project"]["dependencies"]
    return {name: named(group) for name, group in groups.items()} | {CHECKER: named(checker)}


def imports(tree: ast.AST, functions: bool = True) -> Iterator[str]:
    """The modules that a file imports; those that it imports at its own import, where `functions` are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, functions)


@cache
def distributions() -> dict[str, list[str]]:
    return {module: [canonical(each) for each in names] for module, names in packages_distributions().items()}


def providers(module: str) -> list[str]:
    """A module of Airflow's providers, as the names of distributions that may have it: the longest first."""
    parts = module.split(".")[2:]
    return [canonical(f"apache-airflow-providers-{'-'.join(parts[:count])}") for count in range(len(parts), 0, -1)]


def is_declared(module: str, names: set[str]) -> bool:
    first = module.split(".")[0]
    if module.startswith("airflow.providers."):
        return bool(names & set(providers(module)))
    if first == "airflow":
        return bool(names & {"apache-airflow", "apache-airflow-core"})
    return bool(names & set(distributions().get(first, [])))


def foreign(module: str) -> bool:
    first = module.split(".")[0]
    return first not in sys.stdlib_module_names and first not in OWN


def files(room: str) -> list[Path]:
    return sorted((PROJECT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_imports_is_declared_for_it(room):
    names = set().union(*(declared()[group] for group in ROOMS[room]))
    found = [(file, module) for file in files(room) for module in imports(ast.parse(file.read_text()))]
    assert found
    missing = {
        f"{file.relative_to(PROJECT)} imports {module}"
        for file, module in found
        if foreign(module) and not is_declared(module, names) and module.split(".")[0] not in ELSEWHERE.get(room, ())
    }
    assert not missing, f"declare them in {sorted(ROOMS[room])}"


def test_an_import_that_is_not_declared_is_found():
    """The check itself: an import in a function counts, and so does one that another group declares."""
    tree = ast.parse(
        "def f():\n    import moto\nif TYPE_CHECKING:\n    import mypy\nfrom airflow.providers.amazon.aws import x\n"
    )
    found = list(imports(tree))
    assert found == ["moto", "airflow.providers.amazon.aws.x"]
    assert [is_declared(module, declared()["airflow"]) for module in found] == [False, True]
    assert is_declared("moto", declared()["embedded"])
    assert list(imports(tree, functions=False)) == ["airflow.providers.amazon.aws.x"]


def run_in_containers() -> set[str]:
    """The modules of answers/ that a container starts, by compose or by Kubernetes."""
    text = "\n".join(
        file.read_text()
        for folder in (PROJECT, PROJECT / "deploy")
        for file in folder.glob("**/*.yaml" if folder.name == "deploy" else "docker-compose*.yaml")
    )
    started = set(re.findall(r"-m,? (answers[\w.]*)", text))
    assert "answers.stack.bootstrap" in started
    moto = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]["parameter-store"]
    return started - set(moto["entrypoint"]) - {"answers.stack.parameters.client"} | {"answers", "answers.cli.app"}


def source(module: str) -> Path | None:
    path = PROJECT.joinpath(*module.split("."))
    for file in (path / "__main__.py", path / "__init__.py", path.with_suffix(".py")):
        if file.exists():
            return file
    return None


def test_what_a_container_starts_needs_nothing_that_the_image_lacks():
    names = declared()["airflow"]
    todo, seen = run_in_containers(), set()
    while todo:
        module = todo.pop()
        file = source(module) or source(module.rpartition(".")[0])
        if file is None or file in seen:
            continue
        seen.add(file)
        for each in imports(ast.parse(file.read_text()), functions=False):
            if each.split(".")[0] in ("answers", "include", "plugins"):
                todo.add(each)
            elif foreign(each) or each.startswith("dag_integrity"):
                assert is_declared(each, names), (
                    f"{file.relative_to(PROJECT)} imports {each}, which is not in the image"
                )
    assert len(seen) > 10


def locked(text: str) -> dict[str, bool]:
    """The packages of the lock, and whether each has a version and hashes."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    return {canonical(re.match(r"[\w.-]+", each)[0]): "==" in each and "--hash=sha256:" in each for each in blocks}


def test_every_dependency_is_locked_with_hashes_and_says_why():
    packages = locked((PROJECT / "requirements.txt").read_text())
    assert all(packages.values())
    for name, group in declared().items():
        assert group <= packages.keys(), f"{name}: run `make lock`"
    for file in ("pyproject.toml", f"{CHECKER}/pyproject.toml"):
        text = (PROJECT / file).read_text()
        for line in re.findall(r'^  "[^"]*",(?: *#.*)?$', text.partition("[tool.")[0], flags=re.M):
            assert re.search(r"# \S", line), f"{file}: {line.strip()} does not say why"


def test_make_lock_compiles_every_group_and_the_image_takes_one():
    make = (PROJECT / "Makefile").read_text().replace("\\\n", " ")
    (recipe,) = re.findall(r"uv pip compile .*", make)
    assert set(re.findall(r"--group (\S+)", recipe)) == declared().keys() - {CHECKER}
    assert f"{CHECKER}/pyproject.toml" in recipe
    docker = (PROJECT / "Dockerfile").read_text()
    assert re.findall(r"--group (\w+)", docker) == ["airflow", "kubernetes"]
    assert "--require-hashes --constraint requirements.txt" in docker
    assert "exclude" not in docker


def test_the_build_context_has_what_the_image_copies():
    """.dockerignore leaves out everything but what it names."""
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (PROJECT / "Dockerfile").read_text(), flags=re.M)
    let_through = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), flags=re.M)
    assert {name for line in copied for name in line.split()} == set(let_through)
