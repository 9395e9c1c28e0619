"""The notifier of failures, against real HTTP and SMTP: what it says, when it is silent, that it never raises."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from include.alerts import records, throttle
from include.waiting import patience
from plugins.notifiers.failure import FailureNotifier
from support.notifications import catching_notifications, mails, point_to, texts


@pytest.fixture
def catcher(tmp_path, monkeypatch):
    with catching_notifications(tmp_path, monkeypatch) as server:
        yield server


def context(
    run="answers__2013-06-13", task="publish", error: Exception | None = None, dag="q08_recovery", attempt=1, most=3
):
    """Return what Airflow gives to a task's callback, as far as it is looked at."""
    operator = SimpleNamespace(
        task_id=task, owner="data-platform", retry_delay=timedelta(minutes=5), retry_exponential_backoff=False
    )
    ti = SimpleNamespace(
        dag_id=dag,
        run_id=run,
        task_id=task,
        map_index=-1,
        try_number=attempt,
        max_tries=most,
        log_url=f"http://airflow.example:8080/dags/{dag}/runs/{run}/tasks/{task}?try_number={attempt}",
    )
    return {
        "dag": SimpleNamespace(dag_id=dag, owner="data-platform"),
        "run_id": run,
        "ti": ti,
        "task": operator,
        "exception": error or ValueError("989 rows for 990 in the feed"),
    }


def of_run(run="answers__2013-06-13", dag="q08_recovery"):
    """Return what Airflow gives to a DAG's callback."""
    return context(run=run, dag=dag) | {"reason": "task_failure", "exception": None}


def fail(retry=False, budget=10.0, **kwargs) -> float:
    """A task fails; how long its callback took, in seconds."""
    started = time.monotonic()
    FailureNotifier(retry=retry, budget=budget)(context(**kwargs))
    return time.monotonic() - started


@pytest.mark.claim("8.1")
def test_a_failure_reaches_slack_and_e_mail_with_dag_task_run_try_owner_log_and_next_try(catcher):
    before = datetime.now(UTC)
    fail(retry=True, attempt=2)
    (mail,), (text,) = mails(catcher), texts(catcher)
    assert (mail["to"], mail["from"]) == (["data-platform@example.org"], "airflow@example.org")
    assert mail["subject"] == "q08_recovery publish failed, it will be retried"
    for said in (mail["text"], text):
        facts = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line and not line.startswith("*"))
        facts = {key.removeprefix("<pre>"): value.removesuffix("</pre>") for key, value in facts.items()}
        assert {key: facts[key] for key in ("DAG", "task", "run", "owner", "error", "log")} == {
            "DAG": "q08_recovery",
            "task": "publish",
            "run": "answers__2013-06-13",
            "owner": "data-platform",
            "error": "ValueError: 989 rows for 990 in the feed",
            "log": "http://airflow.example:8080/dags/q08_recovery/runs/answers__2013-06-13/tasks/publish?try_number=2",
        }
        tries, _, due = facts["try"].partition("; next try: ")
        assert tries == "2 of 4"
        wait = datetime.fromisoformat(due) - before
        assert timedelta(minutes=4, seconds=58) < wait < timedelta(minutes=5, seconds=30)


@pytest.mark.claim("8.1")
def test_what_an_error_says_is_neither_a_template_nor_markup_and_its_secrets_are_masked(catcher):
    from airflow.sdk.log import mask_secret

    mask_secret("correct-horse-battery")
    fail(error=ValueError("{{ 6 * 7 }} <!channel> password=correct-horse-battery"))
    (mail,), (text,) = mails(catcher), texts(catcher)
    for said in (text, mail["text"]):
        assert "ValueError: {{ 6 * 7 }} &lt;!channel&gt; password=***" in said


@pytest.mark.claim("8.1")
@pytest.mark.parametrize(
    ("told", "on_slack"),
    [
        ({"code": 429, "headers": {"Retry-After": "1"}}, 1),
        ({"code": 429, "headers": {"Retry-After": "600"}}, 0),
        ({"code": 500}, 1),
        ({"code": 500, "times": 2}, 0),
        ({"code": 404}, 0),
        ({"seconds": 3.5}, 0),
    ],
    ids=["limited", "limited-for-long", "error", "errors", "gone", "silent"],
)
def test_whatever_slack_answers_the_e_mail_arrives_and_the_task_is_not_kept_waiting(catcher, told, on_slack):
    """A rate limit is obeyed and an error tried once more, within the budget."""
    catcher.behaviour = {"path": "/slack", "times": 1} | told
    assert fail(budget=3) < patience(3.5)
    assert (len(texts(catcher)), len(mails(catcher))) == (on_slack, 1)


@pytest.fixture
def hanging():
    """A server that accepts connections and answers nothing, or a byte a second, for ever."""

    class Hanging:
        drip = False

        def __init__(self) -> None:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.port = self.socket.getsockname()[1]
            self.open: list[socket.socket] = []
            threading.Thread(target=self.accept, daemon=True).start()

        def accept(self) -> None:
            while True:
                try:
                    connection, _ = self.socket.accept()
                except OSError:
                    return
                self.open.append(connection)
                while self.drip:
                    try:
                        connection.sendall(b"2")
                    except OSError:
                        break
                    time.sleep(0.2)

    server = Hanging()
    yield server
    server.drip = False
    for each in [server.socket, *server.open]:
        each.close()


@pytest.mark.claim("8.1")
@pytest.mark.parametrize("drip", [False, True])
def test_an_smtp_server_that_hangs_delays_the_task_by_the_budget_at_most(catcher, hanging, monkeypatch, drip):
    hanging.drip = drip
    point_to(monkeypatch, mail=hanging.port)
    assert fail(budget=1.5) < patience(2.5)
    assert (len(texts(catcher)), mails(catcher)) == (1, [])


@pytest.mark.claim("8.1")
def test_with_both_channels_down_it_does_not_raise_and_the_next_failure_tries_again(catcher, monkeypatch, tmp_path):
    slack = (
        json.loads(__import__("os").environ["AIRFLOW_CONN_SLACK_DEFAULT"])["host"].partition(":")[2].partition("/")[0]
    )
    point_to(monkeypatch, slack=1, mail=1)
    fail()
    (record,) = records.read_records(tmp_path / "failures")
    assert not record["notified"]
    point_to(monkeypatch, slack=int(slack))
    fail(attempt=2)
    assert texts(catcher) == [], "the first one may still be at it"
    monkeypatch.setattr(throttle, "RESEND_AFTER", 0.0)
    fail(attempt=3)
    fail(attempt=4)
    assert len(texts(catcher)) == 1


@pytest.mark.claim("8.1")
def test_a_disk_that_cannot_be_written_keeps_nobody_from_being_told(catcher, monkeypatch, tmp_path):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path / "a file"))
    fail()
    assert (len(texts(catcher)), len(mails(catcher))) == (1, 1)


@pytest.mark.claim("8.1")
def test_without_any_connection_it_does_not_raise(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path))
    assert fail(run="nobody") < patience(10)
    FailureNotifier()({"dag": None})


@pytest.mark.claim("8.1")
def test_a_run_and_cause_are_told_once_and_once_more_when_nothing_will_be_retried(catcher):
    for attempt in (1, 2, 3):
        fail(retry=True, attempt=attempt, error=ValueError(f"lost {attempt} rows"))
    fail(attempt=4, error=ValueError("lost 4 rows"))
    fail(task="another", error=ValueError("lost 5 rows"))
    subjects = [mail["subject"] for mail in mails(catcher)]
    assert subjects == ["q08_recovery publish failed, it will be retried", "q08_recovery publish failed"]
    fail(error=KeyError("another cause"))
    fail(run="another run", error=ValueError("lost 4 rows"))
    fail(attempt=8, most=7, error=ValueError("lost 4 rows"))
    assert len(mails(catcher)) == len(texts(catcher)) == 5, "the last one was cleared, and failed again"


@pytest.mark.claim("8.1")
def test_the_callback_of_a_dag_speaks_where_no_task_did(catcher):
    """As for a task that was killed: its own callback never ran."""
    fail(run="told by its task")
    FailureNotifier()(of_run("told by its task"))
    FailureNotifier()(of_run("killed"))
    later = SimpleNamespace(start_date=datetime.now(UTC) + timedelta(seconds=1))
    FailureNotifier()(of_run("told by its task") | {"dag_run": later})
    subjects = [mail["subject"] for mail in mails(catcher)]
    assert subjects == ["q08_recovery publish failed", *["q08_recovery as a whole failed"] * 2]
    assert "/dags/q08_recovery/runs/killed" in texts(catcher)[1]
    assert "/runs/told%20by%20its%20task" in texts(catcher)[2], "it was cleared, and killed in its second round"


@pytest.mark.claim("8.1")
def test_a_storm_is_ten_messages_of_which_the_last_five_are_digests(catcher, monkeypatch):
    """A hundred runs of two DAGs fail in a minute; what no digest told comes with the first message after it."""
    clock = [1000.0]
    monkeypatch.setattr(throttle.time, "time", lambda: clock[0])
    for number in range(100):
        clock[0] += 0.5
        fail(run=f"run {number}", dag=f"dag_{number % 2}")
    subjects = [mail["subject"] for mail in mails(catcher)]
    assert subjects[:5] == [f"dag_{number % 2} publish failed" for number in range(5)]
    assert subjects[5:] == [f"{count} more failures within a minute" for count in (1, 6, 12, 24, 48)]
    assert mails(catcher)[-1]["to"] == ["operations@example.org"]
    assert "not told singly: dag_0 24, dag_1 24" in texts(catcher)[-1]
    clock[0] += 61
    fail(run="after the storm")
    assert "not told since the last message: dag_0 2, dag_1 2" in texts(catcher)[-1]


@pytest.mark.claim("8.1")
def test_of_failures_at_the_same_moment_one_is_told(tmp_path):
    failure = {"dag_id": "d", "run_id": "r", "stage": "failed", "round": "4", "error": "ValueError: x"}
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda _: throttle.record_failure(tmp_path, failure)[0].send, range(48)))
    assert sorted(verdicts) == ["message", *["nothing"] * 47]
    others = [failure | {"run_id": str(number)} for number in range(48)]
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda each: throttle.record_failure(tmp_path, each)[0].send, others))
    assert (verdicts.count("message"), verdicts.count("digest")) == (4, 4), "49 in all: 5 singly; 6, 12, 24, 48"
