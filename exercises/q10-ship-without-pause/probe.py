"""Runs the canary on the combinations of DAG files and platform that meet during a deploy."""

import shutil
from pathlib import Path

from answers.exercise.probe import Probe

DAG = "q10_canary"


def probe(p: Probe) -> None:
    """Record the shapes of both commits, what the runs write, and which values of the Param are refused."""
    old, mixed = p.home / "old", p.home / "mixed"
    for name in ("dags", "include", "plugins", "config"):
        shutil.copytree(p.start / name, old / name)
        shutil.copytree((p.project if name == "dags" else p.start) / name, mixed / name)
    p.inside("parsed-before", parsed, str(old))
    p.database()
    first, second = p.hidden["days"]
    algorithms = [p.told["algorithm"], p.told["other"]]
    p.inside("accepted", accepted, str(p.project), [*algorithms, *p.hidden["unknown"]])
    p.inside("new-on-old", play, str(mixed / "dags"), str(mixed), first, {})
    p.inside("old-on-new", loaded, str(old / "dags"), str(p.project))
    p.inside("new", play, str(p.project / "dags"), str(p.project), second, {"algorithm": p.told["other"]})


def use(dags: str, platform: str) -> None:
    """Let this process import DAG files from one tree, include/ and plugins/ from another."""
    import os
    import sys

    from airflow import settings

    project = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).parent
    others = [path for path in sys.path if Path(path) not in (project, project / "dags", project / "plugins")]
    sys.path[:] = [platform, dags, *others]
    settings.PLUGINS_FOLDER = f"{platform}/plugins"
    settings.DAGS_FOLDER = dags


def parsed(tree: str) -> dict:
    """Parse the DAG files of a tree on its own platform."""
    from answers.exercise import steps

    use(f"{tree}/dags", tree)
    return steps.parse(f"{tree}/dags")


def play(dags: str, platform: str, day: str, conf: dict) -> dict:
    """Run the canary, and read what lies under its run's name."""
    import base64
    import os

    from answers.exercise import steps

    loaded(dags, platform)
    found = steps.run(f"{dags}/q10_canary.py", DAG, day, conf)
    files = [
        file for file in Path(os.environ["ANSWERS_HOME"]).rglob("*") if file.name.startswith(f"{found['run_id']}.")
    ]
    endings = {file.name.removeprefix(f"{found['run_id']}."): file for file in files}
    found["files"] = {ending: base64.b64encode(file.read_bytes()).decode() for ending, file in endings.items()}
    return found


def loaded(dags: str, platform: str) -> list[str]:
    """Load the canary as the process of a task does; returns its tasks."""
    from airflow.dag_processing.dagbag import DagBag

    use(dags, platform)
    bag = DagBag(dag_folder=f"{dags}/q10_canary.py")
    if bag.import_errors:
        raise ImportError(next(iter(bag.import_errors.values())).strip().splitlines()[-1])
    return sorted(bag.dags[DAG].task_ids)


def accepted(project: str, values: list[str]) -> dict[str, bool]:
    """Tell which values of the Param a trigger accepts: this is what the API does before it makes a run."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.exceptions import ParamValidationError
    from airflow.serialization.serialized_objects import DagSerialization

    use(f"{project}/dags", project)
    dag = DagSerialization.from_dict(
        DagSerialization.to_dict(DagBag(dag_folder=f"{project}/dags/q10_canary.py").dags[DAG])
    )
    found = {}
    for value in values:
        try:
            dag.params.deep_merge({"algorithm": value}).validate()
            found[value] = "algorithm" in dag.params or "no Param"
        except (ParamValidationError, ValueError):
            found[value] = False
    return found
