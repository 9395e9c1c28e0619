"""Registers with Airflow what it cannot find by itself: a deadline's reference, a middleware, the Answers page."""

import logging
import traceback
from typing import Any

from airflow.plugins_manager import AirflowPlugin

# Not defined in this file: Airflow imports the plugins folder's files under names of their own (`deadlines`), and a DAG
# refers to the class by the name that it was imported by (`plugins.deadlines.RunDue`).
from plugins.deadlines import RunDue
from plugins.task_access import TaskAccess

log = logging.getLogger(__name__)


class AnswersPlugin(AirflowPlugin):
    """The plugin of this project."""

    name = "answers"
    deadline_references = [RunDue]  # noqa: RUF012 (as Airflow declares it)
    fastapi_root_middlewares = [  # noqa: RUF012 (as Airflow declares it)
        {"name": "task access", "middleware": TaskAccess, "args": [], "kwargs": {}}
    ]
    external_views = [  # noqa: RUF012 (as Airflow declares it)
        # Relative addresses, with a slash at the end: Airflow may be served below a path, and /answers is a page of its own.
        {
            "name": "Answers",
            "href": "answers/",
            "url_route": "answers",
            "destination": "nav",
            "nav_top_level": True,
            "icon": "answers/static/icon.svg",
            "icon_dark_mode": "answers/static/icon-dark.svg",
        },
        {"name": "Answer", "href": "answers/?dag={DAG_ID}", "url_route": "answer", "destination": "dag"},
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Build the Answers page. The API server alone asks for it; scheduler, DAG processor and tasks never do.

        Airflow catches no error here: a page that cannot be built would keep the API server from starting.
        """
        try:
            from answers.page.app import build  # the one import into answers/ (pyproject.toml says so, too)

            app: Any = build()
        except Exception as error:  # whatever it is, Airflow has to start
            log.exception("The Answers page cannot be built. Airflow's own pages are not affected")
            app = _error_page(error)
        return [{"app": app, "url_prefix": "/answers", "name": "answers"}]


def _error_page(error: Exception) -> Any:
    """Make an app that says what is broken, and where: the kind of the error and its line, not its text."""
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} in {last.filename.rpartition('/')[2]}, line {last.lineno}"
    text = (
        f"The Answers page cannot be built: {place}. The API server's log has the whole error. Airflow is not affected."
    )
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/{path:path}")
    def say(path: str) -> PlainTextResponse:
        return PlainTextResponse(text, 500)

    return app
