"""Waits for the external feed with the sensor: its first look, its deferral, and its errors."""

from datetime import datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, TaskDeferred

from plugins.sensors.external_feed import GRACE, ExternalFeedSensor

HEADER = "carrier,name"
GOOD = b"carrier,name\nAA,American Airlines Inc.\n"


def sensor(feed, **changes) -> ExternalFeedSensor:
    arguments = {"what": "the register of airlines", "feed": str(feed), "first_line": HEADER, "timeout": 7200}
    return ExternalFeedSensor(task_id="wait_for_airlines", **(arguments | changes))


@pytest.mark.claim("2.5")
def test_the_sensor_succeeds_at_its_first_look_or_leaves_the_worker(tmp_path):
    file = tmp_path / "airlines.csv"
    waiting = sensor(f"file://{file}", timeout=2, max_wait=30)
    with pytest.raises(TaskDeferred) as left:
        waiting.execute({})
    assert left.value.method_name == "execute_complete"
    assert left.value.timeout == timedelta(seconds=2) + GRACE
    asked = left.value.trigger
    assert (asked.feed, asked.first_line) == (f"file://{file}", HEADER)
    assert datetime.fromisoformat(asked.until) - datetime.fromisoformat(asked.began) == timedelta(seconds=2)
    assert (asked.first_pause, asked.longest_pause) == (5, 30)
    file.write_bytes(GOOD)
    assert waiting.execute({})["feed"] == f"file://{file}"


SECRETIVE = "https://reader:hunter2@feeds.example:8443/airlines.csv?token=abc123#part"


@pytest.mark.claim("2.5")
@pytest.mark.parametrize(
    ("event", "error", "says"),
    [
        (
            {"outcome": "late", "found": "looks: 61, the last one: answer 404", "waited": 7200.4},
            AirflowSensorTimeout,
            "the register of airlines (https://feeds.example:8443/airlines.csv) did not come in 2:00:00 (looks: 61, the last "
            "one: answer 404). Ask who delivers it, then clear wait_for_airlines.",
        ),
        (
            {"outcome": "broken", "found": "answer 403", "waited": 0},
            AirflowFailException,
            "the register of airlines (https://feeds.example:8443/airlines.csv) is broken: answer 403. Waiting cannot help; "
            "mend it with who delivers it, then clear wait_for_airlines.",
        ),
    ],
)
def test_an_error_names_feed_wait_and_remedy_and_no_credentials(event, error, says):
    with pytest.raises(error) as raised:
        sensor(SECRETIVE).resume_execution("execute_complete", {"event": event}, {})
    assert str(raised.value) == says


@pytest.mark.claim("2.5")
def test_where_no_triggerer_looked_the_error_says_so():
    with pytest.raises(
        AirflowSensorTimeout, match=r"nobody looked for it until the timeout of 2:00:00\. Does the triggerer run"
    ):
        sensor("/x").resume_execution("__fail__", {"error": "Trigger timeout"}, {})
