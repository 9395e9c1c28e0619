"""What `--quick` does: skips a test as soon as it would start a process, for `make test-quick`."""

import sys
from collections.abc import Iterator

import pytest

STARTS = {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system"}


class Quick:
    """Runs what needs no process: no JVM, no server, no interpreter of its own."""

    def __init__(self) -> None:
        self.testing = False
        sys.addaudithook(self._notice)

    def _notice(self, event: str, arguments: tuple) -> None:
        if self.testing and event in STARTS:
            pytest.skip("starts a process")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        """Notice what tests and their fixtures start."""
        self.testing = True
        try:
            return (yield)
        finally:
            self.testing = False
