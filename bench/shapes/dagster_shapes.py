"""Runs the shapes with Dagster: python dagster_shapes.py sequential|fan COUNT FILE. Its default executor: a process a step."""

import os
import sys
import time

from dagster import DagsterInstance, In, Nothing, Out, execute_job, job, op, reconstructable


def step(shape: str, name: str):
    @op(name=name, ins={"after": In(Nothing)}, out=Out(Nothing))
    def stamp() -> None:
        with open(os.environ["BENCH_TIMES"], "a") as file:
            file.write(f"{shape} {time.time()}\n")

    return stamp


def start(shape: str):
    @op(name="first", out=Out(Nothing))
    def stamp() -> None:
        with open(os.environ["BENCH_TIMES"], "a") as file:
            file.write(f"{shape} {time.time()}\n")

    return stamp


@job
def sequential():
    after = start("sequential")()
    for n in range(int(os.environ["BENCH_COUNT"]) - 1):
        after = step("sequential", f"t{n}")(after)


@job
def fan():
    first = start("fan")()
    step("fan", "last")([step("fan", f"t{n}")(first) for n in range(int(os.environ["BENCH_COUNT"]))])


if __name__ == "__main__":
    chosen = {"sequential": sequential, "fan": fan}[sys.argv[1]]
    with DagsterInstance.get() as instance:
        assert execute_job(reconstructable(chosen), instance).success
