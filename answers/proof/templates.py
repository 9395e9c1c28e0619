"""Holds templates of a question's four files: one DAG, one claim with its anchor, one test, one fault.

They work as they are.

The texts contain the question's number, so this file does not reveal a new question's fault.
"""

QUESTION = """\
id: $id
title: "$title"
answered: false  # true once the answer below is yours
dag: $name.py
question: >
  Write the interviewer's question here: $title?

answer: |
  Write the spoken answer here, at most 170 words: that is a minute. What the DAG of this question does now: a run counts the
  flights of its own local day in the feed, and writes them into a file of that day.

then_now:
  - then: "Write how Airflow 1 and 2 did it"
    now: "Write how Airflow 3 does it"

claims:
  - id: "$number.1"
    text: A run counts the flights of its own local day, whenever it runs.
    anchor: dags/$name.py:count
    see: Run `answers run $id --date 2013-06-13`, then open $id/2013-06-13.json in the folder data_root.
    break: Count what the feed has of another day.
"""

DAG = '''\
"""Q$number · $title.

Look at: `count` asks the feed for the run's data interval, so a repeated run gives the same result.
Reads flights.csv of the feed; produces data_root/$id/DAY.json.
"""

from airflow.sdk import DAG, CronDataIntervalTimetable, task
from pendulum import datetime

from include.questions import doc_md
from plugins.failures import RETRY_POLICY

ZONE = "America/New_York"

with DAG(
    dag_id="$name",
    description="$title",
    schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
    start_date=datetime(2013, 1, 1, tz=ZONE),
    end_date=datetime(2013, 12, 31, tz=ZONE),
    catchup=False,
    default_args={"owner": "data-platform", "retry_policy": RETRY_POLICY},
    tags=["$id"],
    doc_md=doc_md("$id"),
) as dag:

    @task
    def count(feed: str, data_root: str, data_interval_start=None, data_interval_end=None) -> str:
        """Count the flights of the run's local day by airport and airline, for question $number."""
        import json
        from pathlib import Path

        from include.files import write_atomically
        from include.flights.days import local_day
        from include.flights.feed import count_flights

        counts = count_flights(Path(feed), data_interval_start, data_interval_end)
        file = Path(data_root, "$id", f"{local_day(data_interval_start)}.json")
        write_atomically(file, json.dumps(counts))
        return str(file)

    count("{{ var.value.flights_feed }}", "{{ var.value.data_root }}")
'''

TEST = '''\
"""Question $number: whole runs by dag.test()."""

import json

import pytest

from support import expected


@pytest.mark.claim("$number.1")
def test_a_run_counts_the_flights_of_its_own_day(run_day, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path))
    state, tasks, _ = run_day("$name", "2013-06-13")
    assert (state, tasks) == ("success", {"count": ("success", 1)})
    counts = json.loads((tmp_path / "$id" / "2013-06-13.json").read_text())
    flights = expected.flights("2013-06-13", "2013-06-13")
    assert {(origin, carrier): number for origin, of in counts.items() for carrier, number in of.items()} == (
        flights.groupby(["origin", "carrier"]).size().to_dict()
    )
'''

FAULT = """\
# Each removes a mechanism that a claim of question $number rests on. `answers prove --faults $id` requires the tests to notice;
# `answers prove --apply ID --to DIR` makes an interview exercise of one. `symptom` is what the candidate is told.

- id: $number.1-counts-the-day-before
  claim: "$number.1"
  title: Question ${number}'s run counts the flights of the day before
  file: dags/$name.py
  find: |2
            file = Path(data_root, "$id", f"{local_day(data_interval_start)}.json")
  replace: |2
            counts = count_flights(Path(feed), data_interval_start.subtract(days=1), data_interval_start)
            file = Path(data_root, "$id", f"{local_day(data_interval_start)}.json")
  symptom: Each day's file has the flights of another day.
  tests:
    - tests/dag/test_$id.py::test_a_run_counts_the_flights_of_its_own_day
"""
