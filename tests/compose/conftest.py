"""Brings the docker compose stack up once for all tests that need it."""

import shutil
import subprocess

import pytest

from support import brought_up
from tests.compose.client import Stack


def _missing() -> str:
    """Return what keeps the stack from running on this machine, empty if nothing does."""
    if not shutil.which("docker"):
        return "docker is not installed"
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return "docker compose is not installed"
    if subprocess.run(["docker", "info"], capture_output=True).returncode:
        return "no Docker daemon answers"
    return ""


@pytest.fixture(scope="session")
def stack(request, tmp_path_factory):
    """The running stack, healthy."""
    with brought_up(request.config, "compose", _missing(), lambda: Stack(tmp_path_factory.mktemp("compose"))) as stack:
        yield stack
