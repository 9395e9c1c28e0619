"""Question 8 on a live stack: failures that reach Slack and e-mail, missed intervals, repairs, rollbacks, the matrix."""

import json
import os
import platform
import subprocess
from datetime import date
from functools import cache
from importlib.metadata import version

import httpx
import pytest

from include.alerts import failure_matrix
from support import PROJECT, expected, failure_matrix_expected, interval, wait_for

Q08 = "q08_recovery"
FIRST, LAST = "2013-07-01", "2013-07-03"
DOUBTED = "2013-07-09"
SLACK, MAIL = "/slack/services/T000/B000/catcher", "/mail"
MEASURED = PROJECT / "bench/results/failure_matrix.json"


@cache
def api(stack):
    """One client for all calls: each new one would sign in again."""
    return stack.airflow


def finish(stack, run_ids: list[str], dag_id: str = Q08) -> list:
    *_, runs = api(stack).watch(dag_id, run_ids, 240)
    return runs


def caught_messages(stack, path: str, what: str) -> list[dict]:
    """Return what came to the catcher on a path and has this in its text."""
    address = f"http://127.0.0.1:{stack.settings.ports['catcher']}/messages"
    messages = httpx.get(address, params={"path": path}, trust_env=False).json()
    return [each["body"] for each in messages if what in each["body"]["text"]]


@pytest.fixture(scope="module", autouse=True)
def matrix(stack) -> str:
    """Every scenario of the matrix, started at once and before all else, as losing a worker takes a minute to be noticed."""
    run_id = "all_at_once"
    for scenario in failure_matrix.SCENARIOS:
        api(stack).find_dag(f"q08_matrix_{scenario}")
    for scenario in failure_matrix.SCENARIOS:
        assert api(stack).trigger(f"q08_matrix_{scenario}", run_id)
    return run_id


@pytest.mark.claim("8.2")
def test_unpausing_starts_each_missed_interval_with_catchup_and_the_last_one_without(stack):
    def runs(name: str) -> list[dict]:
        return api(stack).runs(f"q08_missed_{name}")

    def pause(name: str, paused: bool) -> None:
        (api(stack).pause if paused else api(stack).unpause)(f"q08_missed_{name}")

    def all_done() -> bool:
        found = runs("caught_up") + runs("skipped")
        assert "failed" not in {run["state"] for run in found}
        nothing_more = api(stack).dag("q08_missed_caught_up")["next_dagrun_logical_date"] is None
        return len(found) >= 6 and nothing_more and {run["state"] for run in found} == {"success"}

    assert runs("caught_up") == runs("skipped") == [], "they are paused when they are created"
    for name in ("caught_up", "skipped"):
        pause(name, False)
    wait_for("the missed runs", all_done)
    pause("skipped", True)
    counted = [api(stack).xcom("q08_missed_caught_up", run["dag_run_id"], "count_flights") for run in runs("caught_up")]
    days = [f"2013-07-0{day}" for day in range(1, 6)]
    assert {each["day"]: each["flights"] for each in counted} == {day: len(expected.flights(day, day)) for day in days}
    (last,) = runs("skipped")
    tomorrow = api(stack).dag("q08_missed_skipped")["next_dagrun_logical_date"]
    assert last["data_interval_end"] == tomorrow, "it is the last interval that is over"


@pytest.mark.claim("8.1")
@pytest.mark.claim("8.4")
def test_an_implausible_day_is_told_taken_back_and_brought_again_by_hand(stack, make_feed):
    run_id = api(stack).start(Q08, date.fromisoformat(DOUBTED))
    assert finish(stack, [run_id])[0].state == "success"
    before = api(stack).variable("flights_feed")

    def lose(text: str) -> str:
        return "".join(line for line in text.splitlines(True) if ",UA," not in line)

    def point(folder) -> None:
        api(stack).set_variable("flights_feed", str(folder))

    point(make_feed(DOUBTED, flights=lose))
    try:
        api(stack).start(Q08, date.fromisoformat(DOUBTED))
        (run,) = finish(stack, [run_id])
    finally:
        point(before)
    assert (run.state, run.tasks["check"][0], run.tasks["rollback"][0]) == ("failed", "failed", "success")
    expected.assert_published(stack.frame, DOUBTED, DOUBTED)

    for path in (SLACK, MAIL):
        (message,) = caught_messages(stack, path, f"run: {run_id}\n")
        link = f"{stack.settings.url}/dags/{Q08}/runs/{run_id}/tasks/check?try_number=2"
        for fact in ("DAG: q08_recovery", "task: check", "try: 2 of ", "owner: data-platform", "next try: none", link):
            assert fact in message["text"]
        assert "Implausible: 2013-07-09 has " in message["text"]
    assert caught_messages(stack, MAIL, f"run: {run_id}\n")[0]["to"] == ["data-platform@example.org"]
    log = api(stack).log(Q08, run_id, "check", 2)
    assert "Slack: told" in log
    assert "e-mail: told" in log

    # Clearing the rollback goes no further back; a person can take it back, and roll back again.
    api(stack).clear(Q08, run_id, ["rollback"])
    assert finish(stack, [run_id])[0].tasks["rollback"][0] == "success"
    expected.assert_published(stack.frame, DOUBTED, DOUBTED)
    undone = json.loads(stack.answers("rollback", "--date", DOUBTED, "--undo", "--json").stdout)
    lost = (expected.flights(DOUBTED, DOUBTED)["carrier"] == "UA").sum()
    assert (undone["to"], undone["rows"]["flights"]) == (2, len(expected.flights(DOUBTED, DOUBTED)) - lost)
    assert json.loads(stack.answers("rollback", "--date", DOUBTED, "--json").stdout)["to"] == 1
    expected.assert_published(stack.frame, DOUBTED, DOUBTED)
    refused = stack.answers("rollback", "--date", DOUBTED, check=False)
    assert refused.returncode == 1
    assert "nothing was changed: 2013-07-09 is at version 1" in refused.stderr.replace("\n", " ")


@pytest.mark.claim("8.1")
@pytest.mark.claim("8.5")
def test_of_a_task_that_was_killed_the_dags_callback_tells(stack, matrix):
    def callback_told() -> bool:
        return all(caught_messages(stack, path, "DAG: q08_matrix_sigkill\n") for path in (SLACK, MAIL))

    wait_for("the DAG's callback to tell", callback_told)
    (message,) = caught_messages(stack, MAIL, "DAG: q08_matrix_sigkill\n")
    text = message["text"].removesuffix("</pre>")
    for fact in ("task: -\n", f"run: {matrix}\n", "owner: data-platform\n", "error: the run failed: task_failure\n"):
        assert fact in text
    assert text.endswith(f"log: {stack.settings.url}/dags/q08_matrix_sigkill/runs/{matrix}")
    assert message["to"] == ["data-platform@example.org"]


@pytest.fixture
def full_disk(stack):
    """Puts a file system without room where the logs of a DAG run go; the second function takes it away."""
    folders = []

    def fill(dag_id: str, run_id: str) -> None:
        folder = stack.home / f"logs/tasks/dag_id={dag_id}/run_id={run_id}"
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], check=True)
        folders.append(folder)
        (folder / "filler").write_bytes(bytes(4096))

    def free() -> None:
        while folders:
            subprocess.run(["umount", "--lazy", folders.pop()], check=True)

    yield fill, free
    free()


@pytest.mark.claim("8.5")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_full_disk_of_the_task_logs_fails_the_tasks_is_told_and_leaves_nothing_behind(stack, full_disk):
    fill, free = full_disk
    day = date(2013, 7, 20)
    run_id = f"answers__{day}"
    fill(Q08, run_id)
    api(stack).start(Q08, day)
    (run,) = finish(stack, [run_id])
    assert (run.state, run.tasks["prepare"][:2]) == ("failed", ("failed", 4)), "each of its tries"
    wait_for(
        "the failure to be told", lambda: caught_messages(stack, MAIL, f"task: prepare\nrun: {run_id}\ntry: 1 of 4")
    )
    free()
    api(stack).clear(Q08, run_id)
    assert finish(stack, [run_id])[0].state == "success"
    expected.assert_published(stack.frame, str(day), str(day))


@pytest.mark.claim("8.3")
def test_tasks_clear_and_backfill_create_repair_a_damaged_period(stack):
    days = [f"2013-07-0{day}" for day in (1, 2, 3)]
    run_ids = [api(stack).start(Q08, date.fromisoformat(day)) for day in days]
    assert {run.state for run in finish(stack, run_ids)} == {"success"}
    expected.assert_published(stack.frame, FIRST, LAST)

    delete = "ALTER TABLE warehouse.{} DELETE WHERE flight_date = '{}' SETTINGS mutations_sync = 2"
    stack.answers("sql", delete.format("daily_delays", FIRST))
    start, _ = interval(FIRST)
    period = ("--start-date", start.isoformat(), "--end-date", start.isoformat())
    # The trap: on 3.3.2 --task-regex is looked for as it is in the tasks' ids; "^publish$" clears nothing and succeeds.
    stack.answers("airflow", "tasks", "clear", Q08, "--task-regex", "publish", "--downstream", "--yes", *period)
    (run,) = finish(stack, run_ids[:1])
    assert (run.state, run.tasks["prepare"][1], run.tasks["publish"][1]) == ("success", 1, 2), (
        "nothing before it ran again"
    )
    expected.assert_published(stack.frame, FIRST, LAST)

    for day in days[1:]:
        stack.answers("sql", delete.format("flights", day))
    dates = ("--from-date", interval(days[1])[0].isoformat(), "--to-date", interval(LAST)[0].isoformat())
    how = ("--reprocess-behavior", "completed", "--run-on-latest-version")
    stack.answers("airflow", "backfill", "create", "--dag-id", Q08, *dates, *how)

    def repaired() -> bool:
        runs = [api(stack).run(Q08, run_id) for run_id in run_ids[1:]]
        assert "failed" not in {run.state for run in runs}
        return all(run.state == "success" and run.tasks["publish"][1] == 2 for run in runs)

    wait_for("the backfill's runs", repaired, patience=200)
    assert api(stack).run(Q08, run_ids[0]).tasks["publish"][1] == 2, "days outside of the period were left alone"
    expected.assert_published(stack.frame, FIRST, LAST)


@pytest.mark.claim("8.5")
def test_what_notices_a_death_is_what_the_table_says(stack, matrix):
    """ANSWERS_RECORD_MATRIX=1 writes what was seen to the file that the table of docs/q08.md is made from."""
    root = stack.home / "data"
    last = "q08_matrix_sigkill_worker"

    def worker_was_missed() -> bool:
        seen = failure_matrix_expected.observed_effects(root, last, matrix)
        return api(stack).run(last, matrix).done and {"dag_callback", "deadline", "task_callback"} <= set(seen)

    wait_for("the loss of a worker to be noticed", worker_was_missed, patience=150)
    found = {}
    for scenario in failure_matrix.SCENARIOS:
        dag_id = f"q08_matrix_{scenario}"
        run = api(stack).run(dag_id, matrix)
        assert run.done
        found[scenario] = {
            "state": run.state,
            "effects": failure_matrix_expected.observed_effects(root, dag_id, matrix),
        }
    if os.environ.get("ANSWERS_RECORD_MATRIX") == "1":
        facts = {"cpus": os.cpu_count(), "python": platform.python_version(), "airflow": version("apache-airflow")}
        facts |= {"command": "pytest tests/stack/test_q08_stack.py", "at": str(date.today())}
        MEASURED.write_text(json.dumps({"machine": facts, "result": found}, indent=2) + "\n")
    assert found == json.loads(MEASURED.read_text())["result"]
