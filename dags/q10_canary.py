"""Q10 · The canary of a deploy: every `answers deploy` runs it on the commit that it has shipped.

Look at: what the tasks do is in q10/seats.py beside this file, so it belongs to the commit that a run started on; include/ and
plugins/ come with the image. `hold` keeps a run in its middle while a file exists: that is when the demonstration ships
answers/demo/breaking.patch. Reads planes.csv of the feed; produces data_root/q10/RUN.json.
"""

from airflow.sdk import DAG, Param, task

from include.questions import doc_md
from q10.seats import released, seats_by_maker, write_report

with DAG(
    dag_id="q10_canary",
    description="Seats by maker: a small real run that shows whether a deployed commit works",
    schedule=None,
    catchup=False,
    params={"hold": Param("", type="string", description="the run waits while this file exists")},
    default_args={"owner": "data-platform"},
    tags=["q10", "canary"],
    doc_md=doc_md("q10"),
) as dag:

    @task
    def count(feed: str) -> dict:
        """Count the seats."""
        return seats_by_maker(feed)

    @task.sensor(poke_interval=2, timeout=1800, mode="reschedule")
    def wait_until_released(hold: str) -> bool:
        """Wait as long as the run is held, without a slot."""
        return released(hold)

    @task
    def report(counted: dict, data_root: str, run_id=None) -> str:
        """Write the report."""
        return write_report(counted, data_root, run_id)

    counted = count("{{ var.value.flights_feed }}")
    counted >> wait_until_released("{{ params.hold }}") >> report(counted, "{{ var.value.data_root }}")
