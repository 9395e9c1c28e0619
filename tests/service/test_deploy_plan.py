"""Tells what a deploy knows before it does anything: which changes are incompatible, and that broken DAGs are not shipped."""

from pathlib import Path

import pytest

from answers.demo.q10 import PATCH
from answers.deploy.deploy import DeployError
from answers.deploy.plan import Finding, planner
from answers.stack.bundles import BRANCH, create_repository
from support import PROJECT
from support.deploys import Project

pytestmark = pytest.mark.claim("10.4")


DAG = '''"""One DAG."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("small", schedule=None, default_args={{"owner": "us"}}, tags=["q10"], description="d", doc_md="d") as dag:
    EmptyOperator(task_id="{task}"){more}
'''


SOUND = DAG.replace('"small"', '"another"').format(task="a", more="")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> tuple[Project, Path]:
    """Real DAG files: `one` in force, `two` renames a task, `broken` does not import, `cyclic` has a cycle."""
    folder = tmp_path_factory.mktemp("plan")
    project = Project(folder)
    project.commit("one", {"dags/small.py": DAG.format(task="a", more="")})
    create_repository(folder / "dags.git", project.folder)
    project.commit("two", {"dags/small.py": DAG.format(task="b", more="")})
    project.commit("broken", {"dags/small.py": DAG.format(task="a", more="\nimport nothing_like_it")})
    cycle = ' >> EmptyOperator(task_id="b") >> dag.get_task("a")'
    project.commit("cyclic", {"dags/small.py": DAG.format(task="a", more=cycle)})
    untold = DAG.replace('"us"', '"airflow"')
    project.commit("ownerless", {"dags/small.py": untold.format(task="a", more="")})
    project.commit("ownerless-changed", {"dags/small.py": "# moved\n" + untold.format(task="b", more="")})
    project.commit(
        "broken-another", {"dags/small.py": "import nothing_like_it  # dag airflow", "dags/another.py": SOUND}
    )
    return project, folder / "dags.git"


def plan(project, tag: str, back: bool = False):
    repository = create_repository(project[1], project[0].folder)
    repository.fetch()
    return planner(repository, back)(repository.head(BRANCH), repository.commit(tag))


def test_two_commits_are_compared_as_airflow_serialises_them(project):
    made = plan(project, "two")
    (change,) = made.changes
    assert (change.dag_id, change.kind, change.why) == ("small", "changed", ("the task a is gone",))
    assert made.dags == ["small"]


@pytest.mark.parametrize(
    ("tag", "says"),
    [("broken", r"dags/small\.py:8 AA101 .*nothing_like_it"), ("cyclic", r"dags/small\.py:6 AA201 ")],
)
def test_a_broken_dag_never_reaches_the_server(project, tag, says):
    with pytest.raises(DeployError, match=rf"(?s)not fit to be shipped:.*{says}"):
        plan(project, tag)


def test_the_way_back_is_checked_for_nothing_but_that_it_parses(project):
    with pytest.raises(DeployError, match="not fit to be shipped"):
        plan(project, "ownerless")
    assert plan(project, "ownerless", back=True).dags == ["small"]
    with pytest.raises(DeployError, match=r"not fit to be shipped:\nsmall\.py.*nothing_like_it"):
        plan(project, "broken", back=True)


def between(project, old: str, new: str):
    repository = create_repository(project[1], project[0].folder)
    repository.fetch()
    return planner(repository)(repository.commit(old), repository.commit(new))


def test_a_finding_that_the_dags_in_force_have_as_well_is_told_and_stops_nothing(project):
    """Its line has moved meanwhile."""
    made = between(project, "ownerless", "ownerless-changed")
    (told,) = made.tolerated
    assert told.startswith("as in what is in force: dags/small.py:7 ")
    assert [each.why for each in made.changes] == [("the task a is gone",)]


def test_what_is_only_slow_is_told_and_stops_nothing(project, monkeypatch):
    """Give the checker's words of a busy machine: no real file can be made slow without making the test so."""
    slow = [Finding("dags/small.py", 1, rule, "takes 13.4 s, budget 5.0 s", None) for rule in ("AA405", "AA406")]
    monkeypatch.setattr("answers.deploy.plan.check", lambda folder: slow if folder.name == "new" else [])
    made = plan(project, "two")
    assert made.tolerated == [f"slow here, which is no reason to stop: {each}" for each in slow]
    assert made.dags == ["small"]


def test_a_file_that_is_broken_in_force_does_not_keep_another_dag_from_being_shipped(project):
    made = between(project, "broken", "broken-another")
    assert made.broken == ["small.py"]
    assert made.dags == ["another"]
    assert [(each.dag_id, each.kind) for each in made.changes] == [("another", "added")]


def test_a_fix_can_be_shipped_although_what_is_in_force_does_not_parse(project):
    repository = create_repository(project[1], project[0].folder)
    repository.fetch()
    made = planner(repository)(repository.commit("broken"), repository.commit("two"))
    assert [(each.dag_id, bool(each.why)) for each in made.changes] == [("small", True)]


def test_the_breaking_change_of_the_demonstration_is_one(tmp_path):
    """answers/demo/breaking.patch fits the DAG as it is, and renames a task of it."""
    project = Project(tmp_path)
    files = {f"dags/{name}": (PROJECT / "dags" / name).read_text() for name in ("q10_canary.py", "q10/seats.py")}
    project.commit("one", files)
    repository = create_repository(tmp_path / "dags.git", project.folder)
    new = repository.apply(repository.head(BRANCH), PATCH, "two")
    made = planner(repository)(repository.head(BRANCH), new)
    assert [(each.dag_id, each.why) for each in made.changes] == [("q10_canary", ("the task report is gone",))]
