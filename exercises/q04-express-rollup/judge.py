"""Compares the fleet with what it was, and the roll-up's totals with pandas on the raw flights."""

import pandas as pd

from answers.exercise.judge import Evidence, Variant, check, expected, same, wrong

TOLERANCE = 1e-9  # of another summing order
FIRST, LAST = "fleet_rollup_headline", "fleet_rollup_network"


def waits(dag: dict) -> list[str]:
    """List the DAGs that a DAG waits for."""
    return sorted({task["waits_for"] for task in dag["tasks"].values() if task["waits_for"]})


def weights(dag: dict) -> list[int]:
    """List what the tasks of a DAG weigh."""
    return sorted({task["weight"] for task in dag["tasks"].values()})


def rollup(seen: Evidence, v: Variant) -> dict:
    """Return the new DAG."""
    fleet, dag_id = seen.value("fleet"), f"fleet_rollup_{v.told['id']}"
    if dag_id not in fleet:
        wrong(seen=f"there is no DAG {dag_id}", because="the roll-up is to be one of the fleet")
    dag: dict = fleet[dag_id]
    return dag


@check("there")
def there(seen: Evidence, v: Variant) -> None:
    """Want the DAG, its owner and the two that it waits for."""
    dag = rollup(seen, v)
    because = "a roll-up waits for the transforms of the carriers that it adds up, and for nothing else"
    same(waits(dag), sorted(f"fleet_transform_{code}" for code in v.told["carriers"]), "it waits for", because)
    same(dag["owners"], [v.told["owner"]], "its tasks belong to", "the owner is who is told when it fails")


@check("fails")
def fails(seen: Evidence, v: Variant) -> None:
    """Compare its sensors with those of a sibling, as that was."""
    (sibling, *_) = [task for task in seen.value("fleet-before")[FIRST]["tasks"].values() if task["waits_for"]]
    for task in rollup(seen, v)["tasks"].values():
        if task["waits_for"]:
            if missing := sorted(set(sibling["failed_states"]) - set(task["failed_states"])):
                wrong(
                    seen=f"a {task['waits_for']} that is {missing[0]} is waited for until the sensor's time is up",
                    because="the roll-up is to fail within seconds when a carrier has failed",
                )
            because = "the roll-ups before it wait for `done` in the triggerer, with a limit of time"
            same(task["how"], sibling["how"], f"it waits for {task['waits_for']} by", because)


@check("order")
def order(seen: Evidence, v: Variant) -> None:
    """Want headline > this one > network, everything that it needs with it, and the rest as before."""
    before, after = seen.value("fleet-before"), seen.value("fleet")
    mine = weights(rollup(seen, v))
    ((first,), (last,)) = (weights(after[dag_id]) for dag_id in (FIRST, LAST))
    rules = {task["rule"] for task in rollup(seen, v)["tasks"].values()}
    if len(mine) != 1 or len(rules) != 1:
        wrong(seen=f"its tasks weigh {mine}", because="the order is one between DAGs: all tasks of one weigh the same")
    if mine[0] >= first:
        because = "the morning meeting's headline stays first"
        wrong(seen=f"{v.told['id']} weighs {mine[0]}, headline {first}: it does not come after", because=because)
    if mine[0] <= last:
        because = "the desk needs it before the network total"
        wrong(seen=f"{v.told['id']} weighs {mine[0]}, network {last}: it does not come before", because=because)
    needed = {f"fleet_{layer}_{code}" for layer in ("ingest", "transform") for code in v.told["carriers"]}
    for dag_id, dag in before.items():
        were, are = weights(dag), weights(after.get(dag_id, {"tasks": {}}))
        wanted = [max(were[0], mine[0])] if dag_id in needed else were
        if are != wanted:
            because = "what it needs goes before the rest too, and no other weight changes"
            wrong(seen=f"{dag_id} weighs {are}, and weighed {were}", because=because, expected=wanted)


@check("network")
def network(seen: Evidence, v: Variant) -> None:
    """Want all other DAGs to wait for what they waited for, with the same tasks."""
    after = seen.value("fleet")
    for dag_id, dag in seen.value("fleet-before").items():
        if dag_id not in after:
            wrong(seen=f"the DAG {dag_id} is gone", because="only one is added")
        if new := sorted(set(waits(after[dag_id])) ^ set(waits(dag))):
            wrong(
                seen=f"{dag_id} waits for {new[0]} where it did not, or no longer", because="nobody else waits for it"
            )
        if sorted(after[dag_id]["tasks"]) != sorted(dag["tasks"]):
            wrong(seen=f"{dag_id} has other tasks than before", because="only one DAG is added")


@check("totals")
def totals(seen: Evidence, v: Variant) -> None:
    """Compute the totals by airport and by hour."""
    because = "the totals are those of its carriers on that day"
    states = seen.value("run", because)
    if bad := sorted(task for task, state in states.items() if state != "success"):
        wrong(seen=f"with its carriers published, {bad[0]} ended as {states[bad[0]]}", because=because)
    day = v.hidden["day"]
    flights = expected().flights(day, day)
    flights = flights[flights["carrier"].isin(v.told["carriers"])].copy()
    flights["hour"] = pd.to_datetime(flights["sched_dep_utc"], utc=True).dt.tz_convert("America/New_York").dt.hour
    for table, key in (("airports", "origin"), ("hours", "hour")):
        groups = flights.groupby(key)
        wanted = groups.agg(flights=("flight", "size"), cancelled=("cancelled", "sum"), delay=("dep_delay", "mean"))
        found = seen.table(table, because).rename(columns={"mean_dep_delay": "delay"}).set_index(key).sort_index()
        assert len(wanted) > 1
        columns = ["flights", "cancelled", "delay"]
        if list(map(str, found.index)) != list(map(str, wanted.index)) or not (
            (found[columns].astype(float).reset_index(drop=True) - wanted[columns].astype(float).reset_index(drop=True))
            .abs()
            .fillna(0)
            .lt(TOLERANCE)
            .all()
            .all()
        ):
            said = f"fleet_{table} has {int(found['flights'].sum())} flights in {len(found)} rows of {day}"
            wrong(seen=said, because=because, expected=wanted.reset_index().to_dict("records"))
