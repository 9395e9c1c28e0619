"""Registers what the tests are marked with, for a run without the configuration of the project around the package."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "claim(id): the claim of the surrounding project that the test proves")
