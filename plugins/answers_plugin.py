"""Registers with Airflow what DAG files do not import by name."""

from airflow.plugins_manager import AirflowPlugin

# Not defined in this file: Airflow imports the plugins folder's files under names of their own (`deadlines`), and a DAG
# refers to the class by the name that it was imported by (`plugins.deadlines.RunDue`).
from plugins.deadlines import RunDue
from plugins.task_access import TaskAccess


class AnswersPlugin(AirflowPlugin):
    """The plugin of this project."""

    name = "answers"
    deadline_references = [RunDue]  # noqa: RUF012 (as Airflow declares it)
    fastapi_root_middlewares = [  # noqa: RUF012 (as Airflow declares it)
        {"name": "task access", "middleware": TaskAccess, "args": [], "kwargs": {}}
    ]
