"""Compares the shapes of DAGs: which changes need runs to end, and which findings are new."""

import json
from dataclasses import replace

import pytest

from answers.deploy.plan import Finding, compare_findings
from answers.deploy.shape import compare_dags
from support.deploys import document

pytestmark = pytest.mark.claim("10.4")


def mapped(dag_id: str, task: str) -> dict:
    made = document(dag_id, task)
    made["tasks"][0]["__var"]["_is_mapped"] = True
    return made


def with_outlet(dag_id: str, task: str, asset: str) -> dict:
    made = document(dag_id, task)
    made["tasks"][0]["__var"]["outlets"] = [{"__type": "asset", "name": asset, "uri": asset}]
    return made


def param(**changes: object) -> list:
    return [["size", {"default": 1, "schema": {"type": "integer"}} | changes]]


def serialised_param() -> list:
    """Return a Param without default as Airflow itself writes it."""
    from airflow.sdk import DAG, Param
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DAG("d", schedule=None, params={"size": Param(type="integer")})
    written = json.loads(json.dumps(DagSerialization.to_dict(dag)["dag"]["params"]))
    return [list(each) for each in written]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (document("d", "a"), document("d", "a", "b"), ()),
        (document("d", "a"), document("d", "a", doc_md="other words", max_active_runs=2), ()),
        (document("d", "a", "b"), document("d", "a"), ("the task b is gone",)),
        (document("d", "a"), mapped("d", "a"), ("the task a is another kind: EmptyOperator before, mapped EmptyOp",)),
        (document("d", "a"), document("d", "a", timetable="@hourly"), ("its schedule changes",)),
        (document("d", "a"), document("d", "a", catchup=True), ("its catchup changes",)),
        (document("d", "a"), document("d", "a", start_date=1.0), ("its start date changes",)),
        (document("d", "a"), document("d", "a", relative_fileloc="e.py"), ("its file moves from d.py to e.py",)),
        (document("d", "a", params=param()), document("d", "a"), ("the param size is gone",)),
        (document("d", "a"), document("d", "a", params=param()), ()),
        (
            document("d", "a"),
            document("d", "a", params=param(default=None)),
            ("the param size is new and has no default",),
        ),
        (
            document("d", "a"),
            document("d", "a", params=serialised_param()),
            ("the param size is new and has no default",),
        ),
        (
            document("d", "a", params=param()),
            document("d", "a", params=param(schema={"type": "string"})),
            ("the param size accepts other values",),
        ),
        (document("d", "a", params=param()), document("d", "a", params=param(default=2)), ()),
        (with_outlet("d", "a", "old"), with_outlet("d", "a", "new"), ("no longer outlet of a: ", "now outlet of a: ")),
    ],
)
def test_what_makes_a_change_incompatible(before, after, why):
    (change,) = compare_dags({"d": before}, {"d": after})
    assert change.kind == "changed"
    assert len(change.why) == len(why)
    assert all(found.startswith(said) for found, said in zip(change.why, why, strict=True))


def test_added_removed_and_code():
    old = {each: document(each, "a") for each in ("gone", "same", "code")}
    new = {each: document(each, "a") for each in ("same", "code", "new")}
    found = {each.dag_id: (each.kind, bool(each.why), each.must_end) for each in compare_dags(old, new, ["code.py"])}
    assert found == {
        "gone": ("removed", True, True),
        "code": ("code", False, False),
        "new": ("added", False, False),
    }


def test_a_second_finding_of_a_kind_is_new():
    """Whichever has the words of before is the inherited one."""
    old = Finding("dags/a.py", 3, "AA404", "the task x has no owner", "a")
    new = replace(old, line=9, message="the task y has no owner")
    moved = replace(old, line=12)
    assert compare_findings([new, moved], lambda: [old]) == ([new], [moved])
    assert compare_findings([replace(old, dag_id="b")], lambda: [old]) == ([replace(old, dag_id="b")], [])
    assert compare_findings([], lambda: 1 / 0) == ([], [])
