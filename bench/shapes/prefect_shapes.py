"""Runs the shapes with Prefect, tasks as threads of the flow: python prefect_shapes.py sequential|fan COUNT FILE."""

import sys
import time

from prefect import flow, task


@task
def stamp(shape: str) -> None:
    with open(sys.argv[3], "a") as file:
        file.write(f"{shape} {time.time()}\n")


@flow
def sequential(count: int) -> None:
    for _ in range(count):
        stamp("sequential")


@flow
def fan(count: int) -> None:
    stamp("fan")
    stamp.map(["fan"] * count).wait()
    stamp("fan")


if __name__ == "__main__":
    {"sequential": sequential, "fan": fan}[sys.argv[1]](int(sys.argv[2]))
