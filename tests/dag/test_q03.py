"""Question 3: a day in chunks, shaped by a document, its chunks' sizes and its Params, in this process."""

import json
import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from support import expected, interval, open_warehouse

Q03 = "q03_partitions"
DAY = "2013-06-13"
# On that day EWR has 141 flights of UA, 13 of US; JFK 13 of UA, 8 of US; neither has one of OO.
DOCUMENT = {
    "version": 1,
    "airports": ["EWR", "JFK"],
    "carriers": ["UA", "US", "OO"],
    "thresholds": {"skip_up_to_rows": 8, "spark_from_rows": 140},
    "layers": ["flights", "daily_delays"],
}
ALL_PATHS = {("EWR", "UA"), ("EWR", "US"), ("JFK", "UA")}


@pytest.fixture
def document(tmp_path, monkeypatch) -> Path:
    """The document of the runs: another file for each test."""
    file = tmp_path / "q03.json"
    file.write_text(json.dumps(DOCUMENT))
    monkeypatch.setenv("AIRFLOW_VAR_Q03_CONFIG", file.as_uri())
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path / "data"))
    return file


@pytest.fixture
def run(dag_of, make_feed, monkeypatch):
    """Run the DAG for a local day with dag.test(): (state, {task or task[map index]: state}, {same: XCom}, run)."""

    def play(day: str = DAY, **params):
        from airflow.models import DagRun
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_FEED", str(make_feed(day)))
        next_day = interval(str(date.fromisoformat(day) + timedelta(days=1)))[0]
        result = dag_of(Q03).test(logical_date=next_day, run_conf=params)

        def name(each) -> str:
            return each.task_id if each.map_index < 0 else f"{each.task_id}[{each.map_index}]"

        with create_session() as session:
            run = session.get(DagRun, result.id)
            states = {name(each): str(each.state) for each in run.task_instances}
            rows = session.query(XComModel).filter_by(dag_id=Q03, run_id=run.run_id).all()
            xcoms = {f"{name(row)} {row.key}": row.value for row in rows}
        assert run.data_interval_start == interval(day)[0]
        return str(run.state), states, xcoms, run

    return play


def published(layer: str = "flights") -> set:
    """(airport, carrier) that are published."""
    with open_warehouse() as client:
        return set(client.query(f"SELECT DISTINCT origin, carrier FROM warehouse.chunk_{layer}").result_rows)


def assert_equals_pandas(day: str, chunks: set) -> None:
    """Both tables hold these chunks of the day, as pandas computes them, and nothing else."""
    with open_warehouse() as client:
        flights, delays = (client.query_df(f"SELECT * FROM warehouse.chunk_{t}") for t in ("flights", "daily_delays"))

    def of_chunks(table):
        return table[[pair in chunks for pair in zip(table["origin"], table["carrier"], strict=True)]]

    expected.assert_equal(flights, of_chunks(expected.flights(day, day)), expected.FLIGHT_KEY)
    expected.assert_equal(delays, of_chunks(expected.daily_delays(day, day)), expected.DAILY_DELAYS_KEY)


def serialised(dag) -> str:
    from airflow.serialization.serialized_objects import DagSerialization

    return json.dumps(DagSerialization.to_dict(dag), sort_keys=True, default=str)


@pytest.mark.claim("3.1")
@pytest.mark.claim("3.2")
@pytest.mark.claim("3.3")
@pytest.mark.claim("3.4")
@pytest.mark.claim("3.5")
def test_a_day_takes_all_three_paths_and_another_document_shapes_the_next_run(
    run, document, warehouse, dag_of, tmp_path
):
    warehouse.close()  # the tasks open it
    before = serialised(dag_of(Q03))
    state, states, xcoms, dag_run = run()
    assert state == "success"
    followed = {
        airport: set(xcoms[f"{airport}.by_size skipmixin_key"]["followed"]) for airport in ("EWR", "JFK", "LGA")
    }
    assert followed == {
        "EWR": {"EWR.skip", "EWR.light_chunks", "EWR.spark_chunks"},
        "JFK": {"JFK.skip", "JFK.light_chunks"},
        "LGA": {"LGA.skip"},
    }
    ran = {task for task, state in states.items() if state == "success"}
    assert {task for task in ran if ".light[" in task} == {
        "EWR.light[0]",
        "JFK.light[0]",
    }
    assert {task for task in ran if ".transform" in task} == {"EWR.spark_path.transform[0]"}
    assert {"EWR.settle", "JFK.settle", "LGA.settle", "report"} <= ran, "the join ran, whichever paths were taken"
    assert_equals_pandas(DAY, ALL_PATHS)

    # Small values only: counts, names, folders.
    sizes = {name: len(json.dumps(value)) for name, value in xcoms.items()}
    assert max(sizes.values()) < 2048, sizes
    assert len(sizes) > 30
    # The macros: the file's path by an interval macro, what it says by counts.
    written = json.loads((tmp_path / "data" / "q03" / f"{DAY}.json").read_text())
    assert {key: written[key] for key in ("skip", "light", "spark", "chunks", "rows", "emptied")} == {
        "skip": 3,
        "light": 2,
        "spark": 1,
        "chunks": 3,
        "rows": 141 + 13 + 13,
        "emptied": 0,
    }
    assert written["title"] == f"{Q03}, logical date 2013-06-14"

    # Another document: no Spark, JFK taken out, one layer, UA alone. Nothing that it leaves out stays published.
    changes = {"airports": ["EWR"], "carriers": ["UA"], "layers": ["flights"]}
    document.write_text(json.dumps(DOCUMENT | changes | {"thresholds": {"skip_up_to_rows": 0, "spark_from_rows": 999}}))
    state, states, _, again = run()
    assert (state, again.id) == ("success", dag_run.id), "the same run, cleared"
    assert states["EWR.light[0]"] == "success"
    assert not {task for task, state in states.items() if ".transform" in task and state == "success"}
    assert published() == {("EWR", "UA")}
    assert published("daily_delays") == set()
    assert serialised(dag_of(Q03)) == before, "the DAG is the same: no new version"
    written = json.loads((tmp_path / "data" / "q03" / f"{DAY}.json").read_text())
    assert written["emptied"] == 2 + 3, "two chunks are no longer wanted, and one layer of all three"


@pytest.mark.claim("3.6")
@pytest.mark.claim("3.4")
def test_params_narrow_a_run_and_a_broken_document_does_not_stop_it(run, document, warehouse):
    from include.flights import warehouse as loader

    loader.create_tables(warehouse, loader.CHUNKS)
    stays = f"('{DAY}', 'LGA', 'XX', 1, 0, 0, 0, 1)"
    warehouse.command(f"INSERT INTO warehouse.chunk_daily_delays VALUES {stays}")
    warehouse.close()
    document.write_text(json.dumps(DOCUMENT | {"carriers": ["B6"], "layers": ["daily_delays"]}))
    state, states, _, _ = run(airports=["EWR", "LGA"], dry_run=True)
    assert state == "success"
    assert (states["EWR.by_size"], states["EWR.light"]) == ("success", "skipped")
    assert published("daily_delays") == {("LGA", "XX")}, "a dry run publishes nothing and empties nothing"

    document.write_text(document.read_text()[:70])
    state, states, xcoms, _ = run(airports=["EWR"])
    assert state == "success"
    assert {states[f"{airport}.plan"] for airport in ("JFK", "LGA")} == {"skipped"}
    assert {states[f"{airport}.settle"] for airport in ("JFK", "LGA")} == {"skipped"}
    assert published("daily_delays") == {("EWR", "B6"), ("LGA", "XX")}, "what was not asked for stays"
    assert published("flights") == set()
    config = xcoms["report return_value"]["config"]
    assert config["version"] == "last good"
    assert "cut off, or is it being written?" in config["why"]


@pytest.mark.claim("3.6")
@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"airports": ["SFO"]}, "'SFO' is not one of"),
        ({"airports": []}, "airports"),
        ({"airports": "EWR"}, "is not of type 'array'"),
        ({"airports": ["EWR", "EWR"]}, "non-unique"),
        ({"spark_from_rows": 0}, "less than the minimum of 1"),
        ({"spark_from_rows": 1.5}, "is not of type"),
        ({"dry_run": "yes"}, "is not of type 'boolean'"),
    ],
)
def test_a_bad_param_is_refused_before_there_is_a_run(dag_of, params, says):
    from airflow.models.dagrun import DagRunType
    from airflow.sdk.exceptions import ParamValidationError
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType

    as_the_api_sees_it = DagSerialization.from_dict(DagSerialization.to_dict(dag_of(Q03)))
    start = interval(DAY)[0]
    with pytest.raises(ParamValidationError, match=says):
        as_the_api_sees_it.create_dagrun(
            run_id="refused",
            logical_date=start,
            data_interval=interval(DAY),
            run_after=start,
            conf=params,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.REST_API,
            state=DagRunState.QUEUED,
        )


@pytest.mark.claim("3.3")
def test_an_airport_is_a_task_group_and_a_path_is_mapped_over_its_chunks(dag_of):
    dag = dag_of(Q03)
    groups = dag.task_group.get_task_group_dict()
    assert {"EWR", "JFK", "LGA", "EWR.spark_path"} <= set(groups)
    mapped = {each.group_id for each in groups.values() if type(each).__name__ == "MappedTaskGroup"}
    assert mapped == {"EWR.spark_path", "JFK.spark_path", "LGA.spark_path"}
    assert dag.get_task("EWR.light").is_mapped


@pytest.mark.claim("3.5")
def test_the_join_runs_after_whichever_path_was_taken(dag_of):
    dag = dag_of(Q03)
    assert dag.get_task("EWR.by_size").downstream_task_ids == {"EWR.skip", "EWR.light_chunks", "EWR.spark_chunks"}
    join = dag.get_task("EWR.settle")
    assert join.trigger_rule == "none_failed_min_one_success"
    assert {"EWR.skip", "EWR.light", "EWR.spark_path.publish"} <= join.upstream_task_ids


@pytest.mark.claim("3.1")
def test_paths_and_sql_are_rendered_from_the_interval_and_not_from_the_logical_date(dag_of):
    dag = dag_of(Q03)
    for day in (DAY, "2013-03-10", "2013-11-03"):
        start, end = interval(day)
        context = {"dag": dag, "data_interval_start": start, "data_interval_end": end, "ds": str(end.date())}
        environment = dag.get_template_env()
        context["var"] = {"value": {"data_root": "/data"}}
        file = environment.from_string(dag.get_task("report").op_kwargs["file"]).render(context)
        assert file == f"/data/q03/{day}.json"
        sql = environment.get_template(dag.get_task("EWR.settle").op_args[2]).render(context)
        assert sql.count(f"toDate('{day}')") == 2


def test_the_trap_a_branch_inside_a_mapped_task_group_skips_nothing(metadata_database):
    """Airflow 3.3.2 looks for the branch's choice under map index -1 and finds none (apache/airflow#67265)."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG, task, task_group
    from pendulum import datetime

    with DAG("trap", schedule=None, start_date=datetime(2013, 1, 1)) as dag:

        @task.branch
        def choose(number: int) -> str:
            return "group.small"

        @task_group
        def group(number: int) -> None:
            choose(number) >> [EmptyOperator(task_id="small"), EmptyOperator(task_id="large")]

        group.expand(number=[1, 2])

    bag = DagBag(dag_folder=os.devnull)
    bag.bag_dag(dag)
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    run = dag.test()
    states = {(each.task_id, each.map_index): str(each.state) for each in run.get_task_instances()}
    assert {states["group.large", index] for index in (0, 1)} == {"success"}, "mended: branch inside the mapping"


def test_the_trap_a_param_that_does_not_exist_is_not_refused(dag_of):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_of(Q03)))
    assert dag.params.deep_merge({"airport": ["EWR"]}).validate() is not None


def test_the_document_of_the_dag_tells_question_and_claims(dag_of):
    text = dag_of(Q03).doc_md
    assert all(f"**3.{number}**" in text for number in range(1, 7))
