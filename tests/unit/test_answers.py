"""The catalogue of questions, claims and faults is whole: what it names exists, and nothing it promises is missing."""

import ast
from pathlib import Path

import pytest

from answers.checkout import is_exercise
from answers.proof import anchors, catalog, faults
from include.questions import doc_md

QUESTIONS = catalog.load_questions()
CLAIMS = {claim.id: claim for question in QUESTIONS for claim in question.claims}
OF_ANSWERED = [claim.id for question in QUESTIONS if question.answered for claim in question.claims]
FAULTS = catalog.load_faults()
ANCHORS = sorted({anchor for claim in CLAIMS.values() for anchor in claim.anchor})
MARKED = anchors.claimed_tests()


def test_the_questions_are_numbered_without_a_gap():
    assert [question.id for question in QUESTIONS] == [f"q{number:02}" for number in range(1, len(QUESTIONS) + 1)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_an_answered_question_has_its_dag(question):
    assert question.dag is None or (catalog.ROOT / "dags" / question.dag).is_file()


@pytest.mark.parametrize("anchor", ANCHORS)
def test_every_anchor_resolves(anchor):
    assert anchors.resolve_anchor(anchor) >= 1


@pytest.mark.parametrize("claim", OF_ANSWERED)
def test_every_claim_has_a_test_of_the_tier_that_can_show_it(claim):
    """A claim has a test that needs no stack; one of the tier `live` has a test on a stack."""
    tests = [test for test in MARKED if test.claim == claim]
    assert tests, f'no test carries @pytest.mark.claim("{claim}")'
    if CLAIMS[claim].tier == "live":
        assert any(test.tier != "fast" for test in tests), f"claim {claim} is `tier: live` and no test has a stack"
    else:
        assert any(test.tier == "fast" for test in tests), f"claim {claim} is tested in {tests[0].tier} only"


def reads_records(file: Path, line: int) -> bool:
    """Tell whether the function there reads bench/results, by itself or by a name of its module."""
    module = ast.parse(file.read_text())
    names = {
        target.id
        for node in module.body
        if isinstance(node, ast.Assign) and "bench/results" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    (function,) = (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.lineno == line)
    return "bench/results" in ast.unparse(function) or any(
        isinstance(node, ast.Name) and node.id in names for node in ast.walk(function)
    )


def test_no_test_without_a_stack_proves_a_claim_by_what_was_recorded(tmp_path):
    """A file of bench/results stays true whatever the code does: comparing it with a page proves no claim."""
    fast = {(test.file, test.line) for test in MARKED if test.tier == "fast"}
    assert [where for where in sorted(fast) if reads_records(catalog.ROOT / where[0], where[1])] == []
    write(tmp_path, "test_x.py", "R = open('bench/results/x')\ndef test_a():\n    R\ndef test_b():\n    pass\n")
    assert [reads_records(tmp_path / "test_x.py", line) for line in (2, 4)] == [True, False]


@pytest.mark.claim("9.5")
@pytest.mark.skipif(is_exercise(catalog.ROOT), reason="a copy that was handed out has no faults")
@pytest.mark.parametrize("claim", OF_ANSWERED)
def test_every_claim_has_a_fault(claim):
    assert any(fault.claim == claim for fault in FAULTS)


def test_every_marker_names_a_claim_that_exists():
    assert [f"{test.file}:{test.line}: {test.claim}" for test in MARKED if test.claim not in CLAIMS] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_every_fault_fits_the_code(fault):
    assert fault.claim in CLAIMS
    text = faults.faulted_text(catalog.ROOT, fault)
    if fault.file.endswith(".py"):
        compile(text, fault.file, "exec")
    for anchor in (anchor for anchor in ANCHORS if anchor.startswith(f"{fault.file}:")):
        assert anchors.line_in(text, anchor)  # in a copy with the fault, an anchor that leads nowhere would tell it
    own = {test.node_id for test in MARKED if test.claim == fault.claim and test.tier == "fast"}
    for name in fault.tests:
        function = name.partition("[")[0]  # without the parameters of one case
        assert any(test == function or test.startswith(f"{function}::") for test in own), (
            f"no test of {fault.claim}: {name}"
        )


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_the_document_of_a_dag_tells_the_whole_question(question):
    text = doc_md(question.id)
    assert question.title in text
    assert all(f"**{claim.id}**" in text for claim in question.claims)
    assert text.count("\n| ") == (len(question.then_now) and len(question.then_now) + 1)


QUESTION = """
id: q01
title: Prices
answered: false
question: How much?
claims:
  - {id: "1.1", text: Right., anchor: "shop.py:total", see: Look., break: Change it.}
"""
FAULT = """
- id: one
  claim: "1.1"
  title: Wrong
  file: shop.py
  find: a
  replace: b
  symptom: Odd.
"""


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (QUESTION.replace('"1.1"', "1.1"), r"q01\.yaml: claims\.0\.id: .*string \(quote it: '1\.1'\)"),
        (QUESTION.replace("shop.py:total", "shop.py"), r"q01\.yaml: claims\.0\.anchor\.0: .*'shop\.py' should be"),
        (QUESTION.replace("shop.py:total", "../shop.py:total"), r"claims\.0\.anchor\.0: .*inside the project"),
        (QUESTION.replace("see: Look., ", ""), r"q01\.yaml: claims\.0\.see: Field required"),
        (QUESTION.replace("title:", "titel:"), r"q01\.yaml: titel: Extra inputs"),
        (QUESTION.replace('"1.1"', '"2.1"'), r"q01\.yaml: .*claim 2\.1 does not belong to q01"),
        (QUESTION.replace("false", "true"), r"q01\.yaml: .*an answered question needs"),
        (QUESTION.replace("q01", "q02"), r"q01\.yaml: .*the file's name says 'q01'|claim 1\.1 does not belong"),
        (QUESTION + "answer: " + "word " * 171, r"q01\.yaml: answer: .*171 words"),
        (QUESTION + QUESTION.partition("claims:\n")[2], r"the id 1\.1 occurs twice"),
        (QUESTION + "]", r"questions/q01\.yaml, line 8: not valid YAML: "),
        ("", r"q01\.yaml: Input should be"),
    ],
)
def test_a_mistake_in_a_question_is_named_by_file_and_field(tmp_path, text, message):
    write(tmp_path, "include/questions/q01.yaml", text)
    with pytest.raises(catalog.CatalogError, match=f"(?s){message}"):
        catalog.load_questions(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FAULT.replace("symptom", "symptoms"), r"tests/faults/q01\.yaml: \[0\]\.symptom: Field required"),
        (FAULT.replace("find: a", "find: b"), r"q01\.yaml: \[0\]: .*the same text"),
        (FAULT.replace("shop.py", "/etc/passwd"), r"\[0\]\.file: .*inside the project"),
        (FAULT.replace("shop.py", "tests/test_shop.py"), r"\[0\]: .*in the product, not in its tests"),
        (FAULT + FAULT, r"the id one occurs twice"),
        (FAULT.replace("- id", "id"), r"q01\.yaml, line \d+: not valid YAML"),
        ("id: one", r"q01\.yaml: should be a list of faults"),
    ],
)
def test_a_mistake_in_a_fault_is_named_by_file_and_field(tmp_path, text, message):
    write(tmp_path, "tests/faults/q01.yaml", text)
    with pytest.raises(catalog.CatalogError, match=f"(?s){message}"):
        catalog.load_faults(tmp_path)


SHOP = """
RATE: float = 0.2
low, high = 1, 2
with open("x") as dag:
    task = 3
    def ingest(): ...
class Till:
    limit = 9
    async def open(self): ...
for name, price in ((1, 2),): ...
"""


@pytest.mark.parametrize(
    ("symbol", "line"),
    [
        ("RATE", 2),
        ("high", 3),
        ("dag", 4),
        ("task", 5),
        ("ingest", 6),
        ("Till", 7),
        ("Till.limit", 8),
        ("Till.open", 9),
        ("price", 10),
    ],
)
def test_an_anchor_finds_what_python_defines(tmp_path, symbol, line):
    write(tmp_path, "shop.py", SHOP)
    assert anchors.resolve_anchor(f"shop.py:{symbol}", tmp_path) == line


def test_an_anchor_finds_text_in_other_files(tmp_path):
    write(tmp_path, "shop.sql", "SELECT\n  sum(price) AS total\n")
    assert anchors.resolve_anchor("shop.sql:AS total", tmp_path) == 2


@pytest.mark.parametrize(("symbol", "line"), [("till", 4), ("tills", 6), ("shelf", 1), ("closed", 4)])
def test_an_anchor_prefers_what_begins_a_line_and_a_comment_comes_last(tmp_path, symbol, line):
    lines = [
        "# No till, no shelf.",
        "all: [till, tills]",
        "# till: why",
        "  - till: closed",
        "next: closed",
        "tills: 2",
        "",
    ]
    write(tmp_path, "shop.yaml", "\n".join(lines))
    write(tmp_path, "Makefile", ".PHONY: help test coverage\ntest:\ncoverage: test\n")
    assert anchors.resolve_anchor("Makefile:coverage", tmp_path) == 3
    assert anchors.resolve_anchor(f"shop.yaml:{symbol}", tmp_path) == line


@pytest.mark.parametrize("anchor", ["shop.py:nothing", "shop.py:Till.close", "shop.py:Till.limit.x", "tax.py:Till"])
def test_an_anchor_that_points_nowhere_is_refused(tmp_path, anchor):
    write(tmp_path, "shop.py", SHOP)
    with pytest.raises(catalog.CatalogError, match=f"anchor '{anchor}'"):
        anchors.resolve_anchor(anchor, tmp_path)


def test_markers_are_found_on_functions_classes_modules_and_parameters(tmp_path):
    write(
        tmp_path,
        "tests/unit/test_shop.py",
        """
import pytest
pytestmark = [pytest.mark.claim("1.1")]
def test_a(): ...
@pytest.mark.claim("1.2")
class TestTill:
    @pytest.mark.claim("1.3")
    @pytest.mark.stack
    def test_b(self): ...
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.claim("1.4"))])
def test_c(x): ...
def helper(): ...
""",
    )
    write(tmp_path, "tests/compose/test_up.py", 'import pytest\n@pytest.mark.claim("1.5")\ndef test_up(): ...\n')
    found = {(test.node_id.partition("::")[2], test.claim, test.tier) for test in anchors.claimed_tests(tmp_path)}
    assert found == {
        ("test_up", "1.5", "compose"),
        ("test_a", "1.1", "fast"),
        ("TestTill::test_b", "1.1", "stack"),
        ("TestTill::test_b", "1.2", "stack"),
        ("TestTill::test_b", "1.3", "stack"),
        ("test_c", "1.1", "fast"),
        ("test_c", "1.4", "fast"),
    }
