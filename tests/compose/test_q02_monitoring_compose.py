"""Metrics and alerts on the docker compose stack: Airflow -> statsd_exporter -> Prometheus -> Alertmanager -> catchers."""

from datetime import datetime
from itertools import islice

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support import PROJECT, wait_for
from support.monitoring import alerts, dashboard_expressions, mapped
from tests.compose.client import DAG

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

METRICS = "http://127.0.0.1:9102/metrics"
MAP = "/etc/statsd/mapping.yml"
PROMTOOL = ("--volume", f"{PROJECT}/config/prometheus:/project:ro", "--entrypoint", "promtool", "prometheus")
WITHOUT_DATA = {  # nothing is scheduled, fails or has a deadline in these tests
    "Deadlines",
    "Tries that failed, an hour",
    "Delay of scheduled runs",
}


@pytest.fixture(scope="module", autouse=True)
def published_day(stack):
    """One run of question 1, so that there is something to measure."""
    stack.wait_for_dag()
    run = stack.start_day("2013-08-01")
    stack.wait_for_success(run)
    return run


def send(stack, lines):
    """Give the exporter lines of StatsD; over TCP, so that none is lost."""
    code = (
        "import socket, sys; s = socket.create_connection(('statsd-exporter', 9125)); s.sendall(sys.argv[1].encode());"
        "s.shutdown(socket.SHUT_WR); s.recv(1)"
    )
    for some in batched(lines, 1000):  # an argument has at most 128 KB
        stack.run("exec", "-T", "catcher", "python", "-I", "-c", code, "".join(f"{line}\n" for line in some))


def batched(lines, size):
    """Lists of at most `size` lines."""
    lines = iter(lines)
    while some := list(islice(lines, size)):
        yield some


def series(stack, **labels):
    """The exporter's samples with these labels: {(name, other labels): value}."""
    found = {}
    for family in text_string_to_metric_families(stack.fetch("statsd-exporter", METRICS)):
        for sample in family.samples:
            if labels.items() <= sample.labels.items():
                rest = {key: value for key, value in sample.labels.items() if value}
                found[sample.name, frozenset(rest.items())] = sample.value
    return found


def alerts_named(stack, alert, **labels):
    """Return what Alertmanager holds of an alert."""
    wanted = {"alertname": alert, **labels}.items()
    return [each for each in stack.alerts() if wanted <= each["labels"].items()]


def notifications_of(stack, alert, status, since, **labels):
    """Webhooks since an instant that tell the state of an alert."""
    wanted = {"alertname": alert, **labels}.items()
    return [
        message
        for message in stack.webhooks("/alerts")
        if datetime.fromisoformat(message["at"]) >= since
        and any(each["status"] == status and wanted <= each["labels"].items() for each in message["body"]["alerts"])
    ]


def mails(stack, since):
    """The e-mails since an instant."""
    return [each for each in stack.mails() if datetime.fromisoformat(each["time"]) >= since]


@pytest.mark.claim("2.4")
def test_promtool_finds_the_rules_valid_and_every_alert_fires_and_resolves_in_its_tests(stack):
    """On the files of the project; those of this stack differ in their clocks."""
    check = stack.run("run", "--rm", "--no-deps", "-T", *PROMTOOL, "check", "config", "/project/prometheus.yml")
    assert b"SUCCESS" in check
    done = stack.run("run", "--rm", "--no-deps", "-T", *PROMTOOL, "test", "rules", "/project/rules_test.yml")
    assert b"SUCCESS" in done
    assert b"FAILED" not in done


@pytest.mark.claim("2.4")
def test_alertmanager_accepts_its_configuration(stack):
    assert b"SUCCESS" in stack.run(
        "exec", "-T", "alertmanager", "amtool", "check-config", "/etc/alertmanager/alertmanager.yml"
    )


@pytest.mark.claim("2.3")
def test_the_exporter_accepts_its_mapping_and_agrees_with_the_matcher_of_the_tests(stack):
    stack.run(
        "exec", "-T", "statsd-exporter", "/bin/statsd_exporter", "--check-config", f"--statsd.mapping-config={MAP}"
    )
    tags = "dag_id=parity,task_id=group.task"
    lines = [
        f"airflow.task.duration,{tags}:1234.5|ms",
        f"airflow.task.scheduled_duration,{tags},queue=default:10|ms",
        "airflow.dagrun.duration.success,dag_id=parity,run_type=manual:60000|ms",
        "airflow.dagrun.duration.failed,dag_id=parity,run_type=manual:61000|ms",
        "airflow.dagrun.schedule_delay,dag_id=parity:5|ms",
        "airflow.deadline_alerts.deadline_missed,dag_id=parity,dagrun_id=one:1|c",
        "airflow.deadline_alerts.deadline_not_missed,dag_id=parity,dagrun_id=one:1|c",
        "airflow.deadline_alerts.deadline_created,dag_id=parity:1|c",
        f"airflow.operator_successes,{tags},operator_name=BashOperator:1|c",
        f"airflow.operator_failures,{tags},operator_name=BashOperator:1|c",
        f"airflow.ti.running,queue=default,{tags}:3.0|g",
        f"airflow.ti.start,{tags}:1|c",
        "airflow.dagrun.parity.first_task_scheduling_delay,dag_id=parity:1|ms",
        "airflow.made.up,dag_id=parity:1|c",
    ]
    send(stack, lines)
    wanted = {}
    for line in lines:
        if sample := mapped(line):
            name = f"{sample.name}_sum" if sample.name.endswith("_seconds") else sample.name
            wanted[name, sample.labels] = sample.value
    wait_for("the exporter to take them", lambda: series(stack, dag_id="parity"), patience=10)

    def without_quantiles():
        found = series(stack, dag_id="parity").items()
        return {key: value for key, value in found if "quantile" not in dict(key[1]) and not key[0].endswith("_count")}

    assert len(wanted) == 11
    wait_for("the same series", lambda: without_quantiles() == pytest.approx(wanted), patience=10)


@pytest.mark.claim("2.3")
def test_a_thousand_runs_make_no_more_series_than_one(stack):
    def lines(run):
        yield f"airflow.task.duration,dag_id=many,task_id=a,run_id=r{run},try_number={run}:1000|ms"
        yield f"airflow.task.duration,dag_id=many,task_id=a,map_index={run}:1000|ms"
        yield f"airflow.deadline_alerts.deadline_missed,dag_id=many,dagrun_id=scheduled__{run}:1|c"
        yield f"airflow.dag.many.r{run}.duration,run_id=r{run}:1000|ms"
        yield f"airflow.something.new.{run},dag_id=many,run_id=r{run}:1|c"

    send(stack, lines(0))
    one = wait_for("one run's series", lambda: series(stack, dag_id="many"), patience=10)
    everything = len(series(stack))
    send(stack, [line for run in range(1, 1000) for line in lines(run)])
    missed = ("airflow_deadline_missed_total", frozenset({("dag_id", "many")}))
    wait_for("a thousand runs", lambda: series(stack, dag_id="many")[missed] == 1000, patience=20)
    assert set(series(stack, dag_id="many")) == set(one)
    assert len(one) == 3 + 2 + 1  # quantiles, sum and count of the timer; the counter
    assert len(series(stack)) - everything < 20  # what Airflow itself went on to tell


@pytest.mark.claim("2.3")
def test_durations_are_queryable_per_dag_in_seconds(stack, published_day):
    """Airflow sends milliseconds, from when the API server has let the task start; its own duration has that call in it."""
    own = {task["task_id"]: task["duration"] for task in stack.tasks(published_day)}
    query = f'airflow_task_duration_seconds_count{{dag_id="{DAG}"}}'
    wait_for("a scrape", lambda: len(stack.prometheus(query)) == len(own), patience=20)
    if {row["value"][1] for row in stack.prometheus(query)} == {"1"}:  # the first run since the exporter started
        rows = stack.prometheus(f'airflow_task_duration_seconds_sum{{dag_id="{DAG}"}}')
        measured = {row["metric"]["task_id"]: float(row["value"][1]) for row in rows}
        assert {task for task in own if not 0 < measured[task] < own[task] + 0.5} == set()
        assert measured["transform"] > own["transform"] / 2
    [run] = wait_for(
        "the run's duration",
        lambda: stack.prometheus(f'airflow_dagrun_duration_seconds_sum{{dag_id="{DAG}", state="success"}}'),
        patience=20,
    )
    assert max(own.values()) < float(run["value"][1]) < 3600


@pytest.mark.claim("2.3")
@pytest.mark.claim("2.4")
def test_every_expression_of_the_dashboard_runs_and_has_data(stack):
    def without_data():
        asked = {
            (title, expression.replace("$dag", ".*").replace("$__rate_interval", "1m"))
            for title, expression in dashboard_expressions()
        }
        return {title for title, expression in asked if not stack.prometheus(expression)}

    wait_for(f"data of all panels but {WITHOUT_DATA}", lambda: without_data() <= WITHOUT_DATA, patience=60, pause=2)


@pytest.mark.claim("2.4")
def test_a_slow_task_makes_the_alert_fire_reach_both_receivers_and_resolve(stack):
    slow = {"dag_id": DAG, "task_id": "transform", "task_class": "spark"}
    wait_for("the alerts of earlier runs to end", lambda: not alerts_named(stack, "TaskDurationTooLong"), patience=90)
    run = stack.start_day("2013-08-02")
    [alert] = wait_for("the alert to fire", lambda: alerts_named(stack, "TaskDurationTooLong", **slow), patience=120)
    began = datetime.fromisoformat(alert["startsAt"])  # the end of an earlier alert may be told after this run's start
    assert alert["status"]["state"] == "active"
    assert alert["annotations"]["summary"].startswith(f"{DAG}.transform took ")
    assert {each["labels"]["task_id"] for each in alerts_named(stack, "TaskDurationTooLong")} == {
        "transform"
    }  # no light task
    stack.wait_for_success(run)
    for status in ("firing", "resolved"):
        wait_for(
            f"the webhook: {status}",
            lambda status=status: notifications_of(stack, "TaskDurationTooLong", status, began, **slow),
            patience=90,
        )
        word = {"firing": "[FIRING:1] TaskDurationTooLong", "resolved": "[RESOLVED] TaskDurationTooLong"}[status]
        mail = wait_for(
            f"the e-mail: {word}",
            lambda word=word: [each for each in mails(stack, began) if word in each["subject"]],
            patience=30,
        )
        assert mail[0]["to"][0]["address"] == "operations@airflow-answers.example"
        assert DAG in mail[0]["html"]
    wait_for("Alertmanager to forget it", lambda: not alerts_named(stack, "TaskDurationTooLong", **slow), patience=10)


@pytest.mark.claim("2.3")
@pytest.mark.claim("2.4")
def test_without_exporter_and_prometheus_runs_go_on_and_metrics_come_back_by_themselves(stack):
    stack.run("stop", "--timeout", "2", "statsd-exporter")
    try:
        # Started while its receiver's name resolves to nothing, a process must not give up metrics for good.
        stack.run("restart", "--timeout", "5", "airflow-triggerer")
        wait_for("the alert that nobody watches", lambda: alerts_named(stack, "MetricsMissing"), patience=60)
        wait_for(
            "the missing heartbeat to be told as a consequence, not by itself",
            lambda: (
                [each["status"]["state"] for each in alerts_named(stack, "SchedulerHeartbeatMissing")] == ["suppressed"]
            ),
            patience=60,
        )
        stack.run("stop", "--timeout", "5", "prometheus", "alertmanager")
        stack.wait_for_success(stack.start_day("2013-08-03"), within=120)
    finally:
        stack.run("up", "--detach", "--wait", "--no-recreate", "statsd-exporter", "prometheus", "alertmanager")
    for component in ("scheduler", "dag-processor", "triggerer"):
        query = f'airflow_heartbeats_total{{component="{component}"}}'
        wait_for(f"a heartbeat: {query}", lambda query=query: stack.prometheus(query), patience=60)
    wait_for("the alerts to end", lambda: not alerts_named(stack, "MetricsMissing"), patience=60)


@pytest.mark.claim("2.4")
def test_prometheus_has_loaded_every_alert_and_found_no_rule_broken(stack):
    import httpx

    groups = httpx.get(f"{stack.published('prometheus', 9090)}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == {each["alert"] for each in alerts()}
    assert [rule for rule in rules if rule.get("lastError")] == []
