"""CI runs what a developer runs: every line of its files is a make target, and the files are what GitLab and GitHub take."""

import re
import shlex
from itertools import chain
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main

from answers.proof.anchors import claimed_tests
from support import PROJECT

GITLAB, GITHUB = PROJECT / ".gitlab-ci.yml", PROJECT / ".github/workflows/ci.yml"
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))
# What a bare machine needs before make can begin.
TOOLS = {
    "apt-get update -qq && apt-get install -qq -y --no-install-recommends make curl git openjdk-21-jre-headless chromium"
}
KEYWORDS = {"stages", "workflow", "variables", "default", "include"}


def gitlab() -> dict[str, dict]:
    """Return the jobs by name, with what they extend."""
    document = yaml.safe_load(GITLAB.read_text())
    entries = {name: entry for name, entry in document.items() if name not in KEYWORDS}
    jobs = {}
    for name, entry in entries.items():
        bases = entry.get("extends", [])
        merged = {}
        for base in [bases] if isinstance(bases, str) else bases:
            merged |= entries[base]
        if not name.startswith("."):
            jobs[name] = merged | entry
    return jobs


def lines_of(script: str | list) -> list[str]:
    return [script] if isinstance(script, str) else [line for each in script for line in lines_of(each)]


def commands_of_gitlab() -> list[str]:
    document = yaml.safe_load(GITLAB.read_text())
    parts = [document["default"], *gitlab().values()]
    return list(
        chain.from_iterable(lines_of(part.get(key, [])) for part in parts for key in ("before_script", "script"))
    )


def commands_of_github() -> list[str]:
    found = []
    for job in yaml.safe_load(GITHUB.read_text())["jobs"].values():
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                matrix = job.get("strategy", {}).get("matrix", {}).get("make", [])
                found += (
                    [line.replace("${{ matrix.make }}", each) for each in matrix] if "matrix.make" in line else [line]
                )
    return found


def targets_of(command: str) -> set[str]:
    """Return the make targets of a line. Fails for a line that is neither make nor one of TOOLS."""
    if command in TOOLS:
        return set()
    program, *words = shlex.split(command)
    assert program == "make", f"CI runs something that no make target runs: {command}"
    assert not set(command) & set(";|&`"), command
    return {word for word in words if "=" not in word}


def check(schema: str, file: Path) -> int:
    """Check a file with the command `check-jsonschema`, in this process: its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["--builtin-schema", schema, str(file)])
    return ended.value.code or 0


@pytest.mark.claim("9.4")
@pytest.mark.parametrize(("schema", "file"), [("vendor.gitlab-ci", GITLAB), ("vendor.github-workflows", GITHUB)])
def test_the_file_is_what_the_published_schema_allows(schema, file):
    assert check(schema, file) == 0


@pytest.mark.claim("9.4")
@pytest.mark.parametrize(
    ("schema", "file", "right", "wrong"),
    [
        ("vendor.gitlab-ci", GITLAB, "script: make lint", "script: {}"),
        ("vendor.gitlab-ci", GITLAB, "\nbuild-image:", "\nimage:"),  # a keyword
        ("vendor.github-workflows", GITHUB, "    runs-on: ubuntu-24.04\n", ""),
    ],
)
def test_the_schema_refuses_what_would_not_run(schema, file, right, wrong, tmp_path):
    assert right in file.read_text()
    broken = tmp_path / file.name
    broken.write_text(file.read_text().replace(right, wrong))
    assert check(schema, broken) == 1


@pytest.mark.claim("9.4")
@pytest.mark.parametrize("commands", [commands_of_gitlab, commands_of_github], ids=["gitlab", "github"])
def test_every_line_of_ci_is_a_make_target_that_exists(commands):
    found = [targets_of(command) for command in commands()]
    assert set.union(*found) <= TARGETS
    assert len(found) >= 5


@pytest.mark.claim("9.4")
@pytest.mark.parametrize("commands", [commands_of_gitlab, commands_of_github], ids=["gitlab", "github"])
def test_ci_leaves_no_tier_out(commands):
    told = "\n".join(commands())
    nightly = (
        "make prove-faults",
        "make prove-exercises",
        "make soak",
        "make test-long",
        "make test-matrix",
        "make slow TARGET=demo",
    )
    for tier in (
        "make lint",
        "integrity-reports",
        "tests/stack",
        "make test-compose",
        'make prove-exercises ARGS="--since',
        *nightly,
    ):
        assert tier in told
    assert "make coverage" in told or all(f"tests/{tier}" in told for tier in ("unit", "service", "dag"))


@pytest.mark.claim("9.4")
def test_the_stages_come_in_order_and_each_job_has_one():
    stages = yaml.safe_load(GITLAB.read_text())["stages"]
    jobs = gitlab()
    assert {job["stage"] for job in jobs.values()} == set(stages)
    for name, job in jobs.items():
        for needed in job.get("needs", []):
            assert stages.index(jobs[needed]["stage"]) < stages.index(job["stage"]), f"{name} needs {needed}"


@pytest.mark.claim("9.4")
def test_a_job_that_deploys_waits_for_a_person_and_what_takes_long_is_nightly():
    jobs = gitlab()
    assert [rule.get("when") for rule in jobs["deploy"]["rules"]] == ["manual"]
    nightly = {name for name, job in jobs.items() if any('== "schedule"' in rule["if"] for rule in job["rules"])}
    assert nightly >= {"faults", "exercises", "soak", "long", "matrix", "slow"}
    assert not any(each_push in nightly for each_push in ("lint", "unit", "service", "dag", "stack", "compose"))
    assert "schedule" in yaml.safe_load(GITHUB.read_text())[True], "YAML reads the key `on` as true"


@pytest.mark.claim("9.4")
def test_every_report_that_a_job_declares_is_written_by_its_command():
    makefile = (PROJECT / "Makefile").read_text()
    for name, job in gitlab().items():
        for report in job.get("artifacts", {}).get("reports", {}).values():
            path = report["path"] if isinstance(report, dict) else report
            script = " ".join(lines_of(job["script"]))
            written = script + (makefile if script in ("make integrity-reports", "make test-long") else "")
            assert path.partition("*")[0] in written, f"{name}: nothing writes {path}"


def test_the_local_run_is_the_same_commands():
    """Hold .ci/run to the commands that a person would type, the cheapest tier first."""
    text = (PROJECT / ".ci/run").read_text()
    steps = dict(re.findall(r"^(?:run|tier) '(\w+)' (.*)$", text, re.MULTILINE))
    order = [list(steps).index(step) for step in ("lint", "fast", "stack", "compose", "tickets")]
    assert order == sorted(order)
    steps["tickets"] = re.search(r"^touched_tickets\(\) {.*\n(?:  .*\n)*  (make .*)\n}", text, re.MULTILINE)[1]
    assert "--since HEAD^ --minutes" in steps["tickets"]
    steps["compose"] = re.search(r"^on_compose\(\) {\n(?:  .*\n)*  (make .*)\n}", text, re.MULTILINE)[1]
    called = {name: targets_of(command) for name, command in steps.items() if command.startswith("make ")}
    assert set.union(*called.values()) <= TARGETS


# -- What each push leaves out

LONG = re.compile(r'@pytest\.mark\.long\(\n?\s*"([^"]+)"\n?\s*\)\n(?:@.*\n)*def (test_\w+)\(')
ROW = re.compile(r"^\| `(test_\w+)` \| `([\w/.]+)` \| (.*) \|$", re.MULTILINE)


def long_tests() -> dict[tuple[str, str], str]:
    """{(test, its file): what each push has in its place}, as the markers say it."""
    found = {}
    for file in sorted((PROJECT / "tests").rglob("test_*.py")):
        text = file.read_text()
        marked = {(test, str(file.relative_to(PROJECT))): instead for instead, test in LONG.findall(text)}
        assert file == Path(__file__) or len(marked) == text.count("mark.long"), (
            f"{file}: a marker has one text, on a function"
        )
        found |= marked
    return found


@pytest.mark.claim("9.4")
def test_what_each_push_leaves_out_is_listed_with_what_it_has_instead():
    rows = ROW.findall((PROJECT / "docs/q09.md").read_text())
    assert {(test, file): instead for test, file, instead in rows} == long_tests()
    assert len(rows) == len(long_tests()) >= 5


@pytest.mark.claim("9.4")
@pytest.mark.parametrize(
    ("command", "tiers"),
    [("make test", {"fast", "stack"}), ("make test-compose", {"compose"}), ("a live stack", {"stack", "compose"})],
)
def test_no_claim_has_its_last_test_in_what_each_push_leaves_out(command, tiers):
    tests = [test for test in claimed_tests() if test.tier in tiers]
    lost = {test.claim for test in tests} - {test.claim for test in tests if not test.long}
    assert not lost, f"{command} shows nothing of {sorted(lost)} at a push"
    assert {(test.node_id.rpartition("::")[2], test.file) for test in tests if test.long} <= long_tests().keys()
