"""Brings the docker compose stack up once for all tests that need it."""

import os
import shutil
import signal
import subprocess

import pytest

from tests.compose.client import Stack

STACK = pytest.StashKey[Stack]()


def _missing() -> str:
    """What keeps the stack from running on this machine, empty if nothing does."""
    if not shutil.which("docker"):
        return "docker is not installed"
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return "docker compose is not installed"
    if subprocess.run(["docker", "info"], capture_output=True).returncode:
        return "no Docker daemon answers"
    return ""


@pytest.fixture(scope="session")
def stack(request, tmp_path_factory):
    """The running stack, healthy; removed again however the tests end."""
    if reason := _missing():
        # A skip must not pass for a proof where the proof is asked for.
        if os.environ.get("ANSWERS_REQUIRE_COMPOSE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    stack = Stack(tmp_path_factory.mktemp("compose"))
    # A SIGTERM, say from a cancelled CI job, unwinds like Ctrl-C instead of leaving a dozen containers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            stack.up()
        except AssertionError as error:
            pytest.fail(f"{error}\n{stack.report()}", pytrace=False)
        request.config.stash[STACK] = stack
        yield stack
    finally:
        stack.down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the state of the containers with the first test that fails; later ones would repeat it."""
    report = yield
    if report.failed and item.get_closest_marker("compose") and (stack := item.config.stash.get(STACK, None)):
        report.sections.append(("docker compose", stack.report()))
        del item.config.stash[STACK]
    return report
