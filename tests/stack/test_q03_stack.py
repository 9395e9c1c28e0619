"""Question 3 on a live stack: the document in an S3 store, all three paths, changes and losses between and during runs."""

import json
from datetime import date, datetime

import pytest

from answers.stack.client import ApiError
from support import expected, object_stores, wait_for

Q03 = "q03_partitions"
URL = f"s3://object_store@{object_stores.BUCKET}/q03.json"
DAY = "2013-06-13"
# EWR has 141 flights of UA, 17 of B6, 13 of US on that day; JFK 122 of B6, 13 of UA, 8 of US; OO flies from neither.
DOCUMENT = {
    "version": 1,
    "airports": ["EWR", "JFK"],
    "carriers": ["UA", "B6", "US", "OO"],
    "thresholds": {"skip_up_to_rows": 8, "spark_from_rows": 140},
    "layers": ["flights", "daily_delays"],
}


@pytest.fixture(scope="module")
def store(stack):
    """A function that writes the document to S3, or takes it away; the stack's Variable leads there."""
    airflow = stack.airflow
    assert airflow.find_dag("q03") == Q03
    before = airflow.variable("q03_config")
    with object_stores.s3() as connection, pytest.MonkeyPatch.context() as patch:
        given = json.loads(connection)
        fields = {key: given[key] for key in ("conn_type", "login", "password")}
        airflow.add_connection("object_store", extra=json.dumps(given["extra"]), **fields)
        airflow.set_variable("q03_config", URL)
        patch.setenv("AIRFLOW_CONN_OBJECT_STORE", connection)

        def put(document: dict | None) -> None:
            from plugins.object_storage import object_at

            path = object_at(URL)
            if document is None:
                path.unlink()
                return
            with path.open("wb") as stream:
                stream.write(json.dumps(document).encode())

        yield put
        airflow.set_variable("q03_config", before)
        airflow.request("DELETE", "/connections/object_store", expect=(204,))


def finish(stack, run_id: str):
    *_, (run,) = stack.airflow.watch(Q03, [run_id], 240)
    assert run.state == "success", run
    return run, stack.airflow.xcom(Q03, run_id, "report")


def assert_published(stack, day: str, chunks: set, layers=("flights", "daily_delays")) -> None:
    """The day's tables hold these (airport, carrier), as pandas computes them, and nothing else."""
    wanted = {"flights": expected.flights(day, day), "daily_delays": expected.daily_delays(day, day)}
    keys = {"flights": expected.FLIGHT_KEY, "daily_delays": expected.DAILY_DELAYS_KEY}
    for layer, table in wanted.items():
        mine = table[[pair in chunks for pair in zip(table["origin"], table["carrier"], strict=True)]]
        sql = f"SELECT * FROM warehouse.chunk_{layer} WHERE flight_date = '{day}'"
        expected.assert_equal(stack.frame(sql), mine if layer in layers else mine[:0], keys[layer])


@pytest.mark.claim("3.2")
@pytest.mark.claim("3.3")
@pytest.mark.claim("3.4")
@pytest.mark.claim("3.5")
def test_the_document_in_s3_shapes_each_run_and_may_disappear_during_one(stack, store, monkeypatch):
    airflow = stack.airflow
    store(DOCUMENT)
    run, report = finish(stack, airflow.start(Q03, date.fromisoformat(DAY)))
    assert (report["skip"], report["light"], report["spark"]) == (3, 4, 1)
    assert (report["config"]["version"], report["config"]["url"]) == ("current", URL)
    took = {task: state for task, (state, _, _) in run.tasks.items()}
    assert took["EWR.spark_path.transform[0]"] == "success"
    assert "rows written" in airflow.log(Q03, run.run_id, "EWR.spark_path.transform[0]", 1)
    assert {took[f"{airport}.light[{n}]"] for airport in ("EWR", "JFK") for n in (0, 1)} == {"success"}
    assert took["LGA.skip"] == took["LGA.settle"] == "success"
    monkeypatch.setattr("answers.stack.rest.PAGE", 7)
    assert airflow.run(Q03, run.run_id).tasks == run.tasks, "however many pages the API gives them in"
    monkeypatch.undo()
    five = {("EWR", "UA"), ("EWR", "B6"), ("EWR", "US"), ("JFK", "B6"), ("JFK", "UA")}
    assert_published(stack, DAY, five)

    def versions() -> int:
        return len(airflow.dag_versions(Q03))

    # Another document; while its run is under way, the object disappears.
    before = versions()
    store(DOCUMENT | {"airports": ["JFK"], "carriers": ["US", "UA"], "layers": ["flights"]})
    run_id = airflow.start(Q03, date.fromisoformat(DAY))
    wait_for("the document to be read", lambda: airflow.run(Q03, run_id).tasks["read_config"][:2] == ("success", 2))
    store(None)
    _, report = finish(stack, run_id)
    assert (report["chunks"], report["config"]["version"]) == (1, "current")
    assert_published(stack, DAY, {("JFK", "UA")}, layers=("flights",))
    assert versions() == before, "the DAG itself did not change"

    # The next run does without the object: the last good version is the second one.
    _, report = finish(stack, airflow.start(Q03, date(2013, 6, 14), {"airports": ["JFK"]}))
    assert report["config"]["version"] == "last good"
    assert report["config"]["why"].startswith(f"{URL} cannot be read: there is no such object")
    assert_published(stack, "2013-06-14", {("JFK", "UA")}, layers=("flights",))


@pytest.mark.claim("3.1")
@pytest.mark.claim("3.6")
@pytest.mark.parametrize(("day", "hours"), [("2013-03-10", 23), ("2013-11-03", 25)])
def test_a_day_of_the_clock_change_is_its_own_local_day(stack, store, day, hours):
    store(DOCUMENT | {"airports": ["LGA"], "carriers": ["B6"]})
    run_id = stack.airflow.start(Q03, date.fromisoformat(day), {"airports": ["LGA"], "spark_from_rows": 1000})
    run, report = finish(stack, run_id)
    assert (report["airports"], report["light"], report["spark"]) == (["LGA"], 1, 0)
    assert_published(stack, day, {("LGA", "B6")})
    assert (stack.home / "data" / "q03" / f"{day}.json").exists()
    detail = stack.airflow.run_record(Q03, run_id)
    start, end = (datetime.fromisoformat(detail[f"data_interval_{edge}"]) for edge in ("start", "end"))
    assert (end - start).total_seconds() == hours * 3600
    assert run.tasks["EWR.plan"][0] == "skipped"


@pytest.mark.claim("3.6")
@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"airports": ["SFO"]}, "airports"),
        ({"airports": []}, "airports"),
        ({"airports": "EWR"}, "airports"),
        ({"airports": ["EWR", "EWR"]}, "airports"),
        ({"spark_from_rows": 0}, "spark_from_rows"),
        ({"spark_from_rows": "many"}, "spark_from_rows"),
        ({"dry_run": "yes"}, "dry_run"),
    ],
)
def test_a_bad_param_is_refused_when_the_run_is_triggered(stack, params, says):
    stack.airflow.find_dag("q03")
    day = date(2013, 12, 24)
    with pytest.raises(ApiError, match=f"answered 400: .*Invalid input for param {says}"):
        stack.airflow.start(Q03, day, params)
    assert stack.airflow.run_record(Q03, f"answers__{day}") is None
