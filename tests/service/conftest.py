"""Gives several files of the tier service what they share: a tiny project, and a deploy with its repository."""

from pathlib import Path

import pytest

from support.deploys import World, document
from support.tiny_project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Project:
    """A project of two claims, which nothing was recorded of."""
    monkeypatch.delenv("ANSWERS_RESULTS", raising=False)
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


@pytest.fixture
def impatient(monkeypatch):
    """Airflow has two seconds to follow; here it does at once or never."""
    monkeypatch.setattr("answers.deploy.deploy.PARSE_PATIENCE", 2.0)
    monkeypatch.setenv("ANSWERS_PATIENCE", "1")


@pytest.fixture
def world(tmp_path, impatient) -> World:
    """`steady` stays as it is, `renamed` loses a task, `weekly` gets another schedule, `held` is paused by a person."""
    world = World(
        tmp_path,
        [document("steady", "a"), document("renamed", "a", "b"), document("weekly", "a"), document("held", "a", "b")],
    )
    world.new = world.project.documents(
        "two",
        document("steady", "a", "more"),
        document("renamed", "a", "c"),
        document("weekly", "a", timetable="@weekly"),
        document("held", "a"),
    )
    world.seam.change(paused=["held"])
    return world
