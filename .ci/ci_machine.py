"""Measures how fast this machine is at the moment, beside the one that expected.json was taken on: `ci_machine.py FILE`.

A loop of a fixed length runs on each processor at once. Its CPU seconds tell how fast a processor is. CPU seconds a second
tell how much of the processors this machine gives: less than all of them where a quota or other work takes the rest.
Standard library only, as this runs before anything is installed.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

TURNS = 10_000_000
REFERENCE_CPU_SECONDS = 0.11  # of the loop, CPython 3.11
REFERENCE_CPUS = 2.0  # as many as the tests use: two processes of pytest
SECONDS = 3.0  # a quota lets short work pass


@dataclass(frozen=True)
class Machine:
    """CPU seconds of the loop, and CPU seconds a second that all loops got together."""

    cpu_seconds: float
    cpus: float

    @property
    def slowness(self) -> float:
        """Return how many times longer than on the reference machine work takes here."""
        return self.cpu_seconds / REFERENCE_CPU_SECONDS * REFERENCE_CPUS / min(self.cpus, REFERENCE_CPUS)

    def described(self) -> str:
        """Return one line for the log."""
        return (
            f"{TURNS // 1_000_000} million turns of a loop take {self.cpu_seconds:.2f} s of CPU "
            f"({REFERENCE_CPU_SECONDS:.2f} on the usual machine), {self.cpus:.1f} processors of {os.cpu_count()} are given: "
            f"work takes {self.slowness:.1f} times as long"
        )


def loop() -> None:
    """Print the CPU seconds of one round, and CPU seconds a second, after some seconds of rounds."""
    rounds, began, used = [], time.monotonic(), time.process_time()
    while time.monotonic() - began < SECONDS:
        before = time.process_time()
        for _ in range(TURNS):
            pass
        rounds.append(time.process_time() - before)
    print(json.dumps([median(rounds), (time.process_time() - used) / (time.monotonic() - began)]))


def measure() -> Machine:
    """Run the loop on as many processors as the tests will use, at once."""
    count = min(len(os.sched_getaffinity(0)), int(REFERENCE_CPUS))
    command = [sys.executable, "-I", __file__, "--loop"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    seen = [json.loads(process.communicate()[0]) for process in running]
    return Machine(median(cpu for cpu, _ in seen), sum(share for _, share in seen))


if __name__ == "__main__":
    if sys.argv[1] == "--loop":
        loop()
    else:
        machine = measure()
        print(f"ci: {machine.described()}")
        Path(sys.argv[1]).write_text(json.dumps(asdict(machine)))
