"""A good document of question 3, and the same with one field changed."""

import copy

GOOD = {
    "version": 1,
    "airports": ["EWR", "JFK"],
    "carriers": ["UA", "9E"],
    "thresholds": {"skip_up_to_rows": 30, "spark_from_rows": 130},
    "overrides": {"JFK": {"skip_up_to_rows": 0, "spark_from_rows": 1}},
    "layers": ["flights"],
}


def changed(path: str, value: object) -> dict:
    """The good document with the value at `path` ("thresholds.skip_up_to_rows") replaced, or taken out by `...`."""
    document = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    at = document
    for step in parents:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document
