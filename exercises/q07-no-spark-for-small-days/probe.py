"""Runs question 1 below and above the limit, on a feed whose file has more rows than the run's interval."""

from answers.exercise.probe import Probe

DAG = "q01_flights_to_clickhouse"
SAMPLES = {"0": 0, "1": 1, "a million": 1_000_000, "-1": -1, "many": "many", "nothing": None, "a half": 0.5}


def probe(p: Probe) -> None:
    """Record which tasks would have started Spark, and what each run leaves."""
    day, also = p.hidden["day"], p.hidden["also"]
    more = (p.feed("also", also) / "flights.csv").read_text().partition("\n")[2]
    p.variable("flights_feed", str(p.feed("feed", day, flights=lambda text: text + more)))
    p.inside("accepted", accepted, str(p.project / "dags"))
    for name, limit in (("small", p.hidden["between"]), ("big", 1)):
        p.run(name, DAG, day, {"spark_from_rows": limit}, engine=True)
        p.fingerprints(f"{name}-published")
        p.sql(f"{name}-versions", "SELECT flight_date, version, action FROM warehouse_history.events")
        if name == "small":
            for table in ("flights", "daily_delays"):
                p.sql(table, f"SELECT * FROM warehouse.{table}")  # noqa: S608


def accepted(folder: str) -> dict:
    """Tell the default, and which limits a trigger accepts: this is what the API does before it makes a run."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.exceptions import ParamValidationError
    from airflow.serialization.serialized_objects import DagSerialization

    bag = DagBag(dag_folder=f"{folder}/{DAG}.py")
    dag = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags[DAG]))
    if "spark_from_rows" not in dag.params:
        return {"default": None, "taken": {}}
    found = {}
    for name, value in SAMPLES.items():
        try:
            dag.params.deep_merge({"spark_from_rows": value}).validate()
            found[name] = True
        except (ParamValidationError, ValueError):
            found[name] = False
    return {"default": dag.params["spark_from_rows"], "taken": found}
