"""Measures the peak of a live stack's memory."""

from __future__ import annotations

import threading

import psutil


class Peak:
    """A context in which the memory of the embedded stack (PSS) is sampled: `total` and `java` in bytes.

    :param pause: seconds between two samples; one takes some 20 ms of CPU a gigabyte
    """

    def __init__(self, settings, pause: float = 0.5) -> None:
        from answers.stack import processes

        self._pause = pause
        self.total = self.java = 0
        self._root = processes.supervisor_process(settings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while self._root and not self._stop.wait(self._pause):
            total = java = 0
            for process in [self._root, *self._root.children(recursive=True)]:
                try:
                    pss = process.memory_full_info().pss
                    total += pss
                    java += pss if "java" in process.name() else 0
                except psutil.Error:
                    continue
            self.total, self.java = max(self.total, total), max(self.java, java)
