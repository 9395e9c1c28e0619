"""Q7 · A feed of any size in chunks: raw CSV -> Spark, or the warehouse's own engine -> ClickHouse, checked against its totals.

Look at: the pipeline of question 1 unchanged, mapped over the days of a generated feed; stages that overlap, since a chunk's
later task goes before another chunk's earlier one; pools that bound each engine; files that go as soon as their rows are in.
Needs `answers flights generate`. Produces warehouse.generated_flights, generated_daily_delays, generated_delay_features.
"""

from pathlib import Path

from airflow.sdk import DAG, Param, TriggerRule, task, task_group
from pendulum import datetime

from include.flights.spark import LARGE_JOB
from include.questions import doc_md
from plugins.failures import RETRY_POLICY
from plugins.operators.publish_partition import PublishPartitionOperator
from plugins.operators.spark_transform import spark_transform

DATA_ROOT = "{{ var.value.data_root }}"


@task
def plan(feed: str) -> list[dict]:
    """List the chunks of the feed: a day each, with the control totals that came with it."""
    from dataclasses import asdict

    from include.flights.generated import read_chunks

    return [asdict(chunk) for chunk in read_chunks(Path(feed))]


@task
def chunks_of(path: str, planned: list, params=None) -> list[dict]:
    """Say which chunks take a path: all of them or none."""
    return [{"folder": each["folder"], "day": each["day"]} for each in planned if params["path"] == path]


@task(map_index_template="{{ task.op_kwargs.day }}", max_active_tis_per_dag=2)
def land(folder: str, day: str, data_root: str, run_id=None) -> dict:
    """Land a chunk's records as Parquet; a breach of the feed's contract is permanent."""
    from datetime import date, timedelta

    from include.flights import feed
    from include.flights.days import midnight

    first = date.fromisoformat(day)
    return feed.land_interval(
        Path(folder), Path(data_root), midnight(first), midnight(first + timedelta(days=1)), run_id
    )


@task(pool="warehouse")
def load_by_engine(landed: dict, ti=None) -> dict:
    """Transform a chunk with the warehouse's own engine and publish it."""
    from include.flights.engine import transform_and_publish
    from plugins.warehouse import open_warehouse

    with open_warehouse() as client:
        return transform_and_publish(client, landed, f"{ti.dag_id} {ti.run_id}", layout="generated")


@task
def forget(landed: dict) -> None:
    """Remove the chunk's landed and transformed files: two terabytes a day would fill any disk."""
    from include.flights import landed as files

    files.remove_landed(landed)


@task_group
def by_spark(folder: str, day: str) -> None:
    """Land a chunk, transform it with Spark, publish it."""
    landed = land(folder=folder, day=day, data_root=DATA_ROOT)
    transform = spark_transform(landed, LARGE_JOB, "{{ ti.map_index }}")
    publish = PublishPartitionOperator(task_id="publish", landed=landed, layout="generated", pool="warehouse")
    landed >> transform >> publish >> forget(landed)


@task_group
def by_engine(folder: str, day: str) -> None:
    """Land a chunk, transform and publish it with the warehouse's engine."""
    landed = land(folder=folder, day=day, data_root=DATA_ROOT)
    load_by_engine(landed) >> forget(landed)


@task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, pool="warehouse")
def verify(planned: list) -> dict:
    """Hold what is in the warehouse against the totals that came with the feed."""
    from include.flights.generated import Chunk, verify_totals
    from plugins.warehouse import open_warehouse

    with open_warehouse() as client:
        return verify_totals(client, [Chunk(**each) for each in planned])


with DAG(
    dag_id="q07_scale",
    description="A generated feed of any size in chunks: raw CSV -> Spark or the engine -> ClickHouse",
    schedule=None,
    start_date=datetime(2013, 1, 1, tz="America/New_York"),
    catchup=False,
    max_active_runs=2,
    params={"path": Param("spark", type="string", enum=["spark", "engine"], description="what transforms the chunks")},
    # Upstream: the later a task stands in its chunk, the sooner it starts. Rows become queryable while others land.
    default_args={"owner": "data-platform", "weight_rule": "upstream", "retry_policy": RETRY_POLICY},
    tags=["q07", "spark", "clickhouse"],
    doc_md=doc_md("q07"),
) as dag:
    planned = plan("{{ var.value.q07_feed }}")
    spark_chunks, engine_chunks = (
        chunks_of.override(task_id=f"{path}_chunks")(path, planned) for path in ("spark", "engine")
    )
    [by_spark.expand_kwargs(spark_chunks), by_engine.expand_kwargs(engine_chunks)] >> verify(planned)
