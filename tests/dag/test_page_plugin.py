"""The plugin that brings the Answers page to Airflow: late, by relative addresses, and never at Airflow's cost."""

import json
import logging
import subprocess
import sys

import pytest

from support import PROJECT
from support.answers_page import api_server

HOSTILE = "<script>alert(1)</script>"


@pytest.mark.claim("9.7")
def test_a_page_that_cannot_be_built_leaves_airflow_and_the_deadlines_alone(metadata_database, monkeypatch, caplog):
    from airflow import plugins_manager

    import answers.page.app

    def broken() -> None:
        raise RuntimeError(f"no such thing: {HOSTILE}")

    monkeypatch.setattr(answers.page.app, "build", broken)
    with api_server() as client, caplog.at_level(logging.ERROR):
        answer = client.get("/answers/api/questions")
        assert answer.status_code == 500
        assert "cannot be built: RuntimeError in test_page_plugin.py, line " in answer.text
        assert HOSTILE not in answer.text, "the text of the error is for the log alone"
        assert client.get("/api/v2/version").status_code == 200
        assert client.get("/").status_code == 200
        references = plugins_manager.get_deadline_references_plugins()
    assert "plugins.deadlines.RunDue" in references
    assert HOSTILE in caplog.text


WITHOUT_PAGE = """
import json, sys
from airflow import plugins_manager
plugins_manager.get_deadline_references_plugins()
(plugin,) = [each for each in plugins_manager._get_plugins()[0] if each.name == "answers"]
views = [view["name"] for view in plugin.external_views]
loaded = [name for name in sys.modules if name.startswith("answers.page")]
print("TOLD", json.dumps([views, loaded, plugin.fastapi_apps[0]["url_prefix"]]))
"""


@pytest.mark.claim("9.7")
def test_only_the_api_server_builds_the_page(metadata_database):
    """A scheduler or a task loads the plugin, and nothing of the page."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_PAGE], cwd=PROJECT, capture_output=True, text=True)
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")] or [done.stderr]
    assert json.loads(told.removeprefix("TOLD ")) == [["Answers", "Answer"], [], "/answers"]


@pytest.mark.claim("9.7")
def test_the_addresses_of_the_views_are_relative():
    """With a slash in front, Airflow below a path would look for the page outside of it."""
    from plugins.answers_plugin import AnswersPlugin

    addresses = [view[key] for view in AnswersPlugin.external_views for key in ("href", "icon") if key in view]
    assert len(addresses) == 3
    assert [address for address in addresses if not address.startswith("answers/")] == []
