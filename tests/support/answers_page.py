"""Airflow's own app in this process, and users who have signed in: for tests of the Answers page."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.testclient import TestClient

from answers.stack.settings import Settings


def token(role: str | None, seconds: int = 600) -> dict[str, str]:
    """The header of a user who has signed in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    user = SimpleAuthManagerUser(username="reader", role=role)
    jwt = get_auth_manager().generate_jwt(user, expiration_time_in_seconds=seconds)
    return {"Authorization": f"Bearer {jwt}"}


@contextmanager
def api_server() -> Iterator[TestClient]:
    """Airflow's own app, built anew, as the API server builds it."""
    from airflow import plugins_manager
    from airflow.api_fastapi import app

    for cached in (plugins_manager.get_fastapi_plugins, plugins_manager._get_plugins, plugins_manager._get_ui_plugins):
        cached.cache_clear()
    app.purge_cached_app()
    Settings.load().write_passwords()
    yield TestClient(app.create_app("core"), follow_redirects=False)
