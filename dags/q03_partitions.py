"""Q3 · A day of flights in chunks, shaped by a document on object storage and by the size of each chunk.

Look at: the document that is read once a run, a TaskGroup for each airport, the branch by size (skip, light, Spark), the
mapping over the chunks of a path, the join after whichever paths ran, typed Params, macros in paths and SQL.
Produces warehouse.chunk_flights and warehouse.chunk_daily_delays, one partition a day, airport and carrier.
"""

from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TaskGroup, TriggerRule, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from pendulum import datetime

from include.chunks import chunks
from include.flights.contract import AIRPORTS
from include.flights.days import local_day
from include.flights.spark import SMALL_JOB
from include.questions import doc_md
from plugins.failures import RETRY_POLICY
from plugins.operators.publish_partition import PublishPartitionOperator
from plugins.operators.spark_transform import DAY, spark_transform

PROJECT = Path(__file__).resolve().parents[1]
ZONE = "America/New_York"
FEED, DATA_ROOT = "{{ var.value.flights_feed }}", "{{ var.value.data_root }}"
PARAMS = {
    "airports": Param(
        list(AIRPORTS),
        type="array",
        items={"type": "string", "enum": list(AIRPORTS)},
        minItems=1,
        uniqueItems=True,
        description="airports to work on; what is published of the others stays as it is",
    ),
    "spark_from_rows": Param(
        None, type=["null", "integer"], minimum=1, description="in place of the document's, for this run"
    ),
    "dry_run": Param(False, type="boolean", description="plan and choose paths, publish nothing"),
}
WHICHEVER_RAN = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
# What the UI calls a mapped task, instead of a number.
CARRIER = "{{ task.op_kwargs.carrier }}: {{ task.op_kwargs.rows }}"


@task
def read_config(url: str, data_root: str) -> dict:
    """Read the document once: the run works with this version, whatever happens to the object meanwhile."""
    from include.chunks.document import choose_version
    from plugins.object_storage import object_at

    return choose_version(object_at(url), Path(data_root))


@task
def count_flights(feed: str, data_interval_start=None, data_interval_end=None) -> dict:
    """Count the day's flights per airport and carrier, which the chunks are planned from."""
    from include.flights.feed import count_flights as count

    return count(Path(feed), data_interval_start, data_interval_end)


@task
def plan(airport: str, config: dict, counts: dict, params=None) -> dict:
    """Plan an airport's chunks: carriers and their rows, thresholds, layers."""
    if airport not in params["airports"]:
        raise AirflowSkipException(f"this run was not asked for {airport}: what is published of it stays")
    return chunks.plan_chunks(config["document"], airport, counts[airport], params["spark_from_rows"])


@task.branch
def by_size(airport: str, planned: dict, params=None) -> list[str]:
    """Choose by the chunks' sizes which paths are taken: the ids of their first tasks."""
    paths = [path for path, some in chunks.group_by_path(planned).items() if some]
    if params["dry_run"] or not paths:
        paths = ["skip"]
    first = {"skip": "skip", "light": "light_chunks", "spark": "spark_chunks"}
    return [f"{airport}.{first[path]}" for path in paths]


@task
def chunks_of(path: str, planned: dict) -> list[dict]:
    """Select the chunks that take a path, for the mapping."""
    return chunks.group_by_path(planned)[path]


@task(map_index_template=CARRIER)
def land(
    airport: str,
    carrier: str,
    rows: int,
    feed: str,
    data_root: str,
    run_id=None,
    data_interval_start=None,
    data_interval_end=None,
) -> dict:
    """Land the chunk's records as Parquet, where Spark sees them."""
    from include.flights.feed import land_interval

    return land_interval(Path(feed), Path(data_root), data_interval_start, data_interval_end, run_id, airport, carrier)


@task(map_index_template=CARRIER, pool="warehouse")
def light(
    airport: str,
    carrier: str,
    rows: int,
    feed: str,
    data_root: str,
    layers: list,
    ti=None,
    data_interval_start=None,
    data_interval_end=None,
) -> dict:
    """Land the chunk in this process; transform and publish it by the warehouse's engine, without Spark."""
    from include.flights.engine import transform_and_publish
    from include.flights.feed import land_interval
    from plugins.warehouse import open_warehouse

    landed = land_interval(
        Path(feed), Path(data_root), data_interval_start, data_interval_end, ti.run_id, airport, carrier
    )
    with open_warehouse() as client:
        return transform_and_publish(client, landed, f"{ti.dag_id} {ti.run_id}", layers)


@task_group
def spark_path(airport: str, layers: list, carrier: str, rows: int) -> None:
    """Land a chunk, transform it with Spark, publish it."""
    landed = land(airport=airport, carrier=carrier, rows=rows, feed=FEED, data_root=DATA_ROOT)
    transform = spark_transform(landed, SMALL_JOB, f"{DAY} {airport} {{{{ ti.map_index }}}}")
    publish = PublishPartitionOperator(
        task_id="publish", landed=landed, layout="chunks", tables=layers, pool="warehouse"
    )
    landed >> transform >> publish


@task(pool="warehouse", trigger_rule=WHICHEVER_RAN, templates_exts=[".sql"])
def settle(airport: str, planned: dict, published: str, params=None, data_interval_start=None) -> dict:
    """Check that the airport's chunks are published, and that nothing else of it is."""
    from plugins.warehouse import open_warehouse

    counts = {"airport": airport, **{path: len(some) for path, some in chunks.group_by_path(planned).items()}}
    if params["dry_run"]:
        return counts
    with open_warehouse() as client:
        day = local_day(data_interval_start)
        return counts | chunks.reconcile_with_plan(client, airport, day, planned, published)


@task(trigger_rule=WHICHEVER_RAN)
def report(config: dict, settled: list, file: str, title: str, params=None) -> dict:
    """Say what the run did, in its log and in a file."""
    return chunks.summarise_run(config, settled, None if params["dry_run"] else Path(file), title)


with DAG(
    dag_id="q03_partitions",
    description="One day of flights in chunks, as a document on object storage and the chunks' sizes decide",
    schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
    start_date=datetime(2013, 1, 1, tz=ZONE),
    end_date=datetime(2013, 12, 31, tz=ZONE),
    catchup=False,
    params=PARAMS,
    user_defined_macros={"local_day": local_day},
    template_searchpath=[str(PROJECT / "include/chunks/sql")],
    default_args={"owner": "data-platform", "retry_policy": RETRY_POLICY},
    tags=["q03", "spark", "clickhouse"],
    doc_md=doc_md("q03"),
) as dag:
    configured = read_config("{{ var.value.q03_config }}", DATA_ROOT)
    counted = count_flights(FEED)
    settled = []
    for airport in AIRPORTS:
        with TaskGroup(airport):
            planned = plan(airport, configured, counted)
            skip = EmptyOperator(task_id="skip")
            light_chunks, spark_chunks = (
                chunks_of.override(task_id=f"{path}_chunks")(path, planned) for path in ("light", "spark")
            )
            by_size(airport, planned) >> [skip, light_chunks, spark_chunks]
            same = {"airport": airport, "layers": planned["layers"]}
            engine = light.partial(**same, feed=FEED, data_root=DATA_ROOT).expand_kwargs(light_chunks)
            spark = spark_path.partial(**same).expand_kwargs(spark_chunks)
            join = settle(airport, planned, "published.sql")
            [skip, engine, spark] >> join
            settled.append(join)
    report(
        configured,
        settled,
        file=f"{DATA_ROOT}/q03/{{{{ data_interval_start | ds }}}}.json",
        title="{{ dag.dag_id }}, logical date {{ ds | default('none') }}",
    )
