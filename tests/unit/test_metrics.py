"""Sends Airflow's statistics as both stacks do and reads what arrives: which ones, with which labels, after which outage."""

import socket

import pytest

from support.monitoring import (
    MAPPING,
    mapped,
    send_metrics,
)

RUN_LABELS = {"run_id", "dagrun_id", "map_index", "try_number", "job_id"}


@pytest.fixture
def receiver():
    """Open a UDP socket on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


@pytest.fixture
def stats(receiver, monkeypatch):
    """Give Airflow's metrics, configured as on both stacks (config/airflow.env), sent to `receiver`."""
    from airflow._shared.observability.metrics import stats
    from airflow.observability.metrics.stats_utils import get_stats_factory

    send_metrics(stats, get_stats_factory, receiver, monkeypatch)
    return stats


def received(receiver, last):
    """Return the datagrams up to the one that ends with the name `last`."""
    lines = []
    while not (lines and last in lines[-1]):
        lines += receiver.recv(65536).decode().splitlines()
    return lines


@pytest.mark.claim("2.3")
def test_every_mapped_statistic_is_one_that_this_airflow_has_with_that_type():
    from airflow._shared.observability.metrics.metrics_registry import YAML_REGISTRY_PATH, read_metrics_yaml

    kinds = {"counter": "|c", "gauge": "|g", "timer": "|ms"}
    known = {entry["name"]: kinds[entry["type"]] for entry in read_metrics_yaml(yaml_path=str(YAML_REGISTRY_PATH))}
    kept = {f"airflow.{name}": kind for name, kind in known.items() if mapped(f"airflow.{name}:1{kind}")}
    used = {rule["match"] for rule in MAPPING["mappings"] if rule.get("action") != "drop"}
    reached = {
        match
        for match in used
        if match in kept or ("*" in match and any(name.startswith(match.removesuffix("*")) for name in kept))
    }
    assert reached == used
    assert len(kept) == len(used) - 1 + 4  # ti.* stands for four


@pytest.mark.claim("2.3")
def test_what_is_not_mapped_is_dropped():
    last = MAPPING["mappings"][-1]
    assert (last["match"], last["match_type"], last["action"]) == (".*", "regex", "drop")
    for datagram in (
        "airflow.scheduler.scheduler_loop_duration:1|ms",
        "airflow.dagrun.q01.first_task_scheduling_delay,dag_id=q01:1|ms",
        "airflow.dag.q01.transform.duration:1|ms",
        "airflow.ti.start,dag_id=q01,task_id=a:1|c",
        "something.else:1|g",
    ):
        assert mapped(datagram) is None


@pytest.mark.claim("2.3")
def test_no_run_becomes_a_label_whatever_is_sent():
    """Each statistic with every tag that names a run, a thousand runs: one series each."""
    stats = [
        (rule["match"].replace("*", "running"), "g" if rule.get("match_metric_type") == "gauge" else "c")
        for rule in MAPPING["mappings"]
        if rule.get("action") != "drop"
    ]
    for name, kind in stats:
        if name.endswith(("heartbeat", "_slots", "import_errors")):
            continue  # of the platform; they carry no such tag
        found = {
            (sample.name, sample.labels)
            for run in range(1000)
            if (
                sample := mapped(
                    f"{name},dag_id=q01,{','.join(f'{tag}=r{run}' for tag in sorted(RUN_LABELS))}:1|{kind}"
                )
            )
        }
        assert len(found) == 1, name


@pytest.mark.claim("2.3")
def test_a_deadlines_run_is_not_sent_so_that_the_miss_itself_arrives(stats, receiver):
    """As airflow/models/deadline.py sends it. With the id of the run in its name the statistic would be invalid."""
    stats.incr(
        "deadline_alerts.deadline_missed",
        tags={"dag_id": "q02_daily_report", "dagrun_id": "scheduled__2013-06-13T04:00:00+00:00"},
    )
    stats.incr("scheduler_heartbeat")
    lines = received(receiver, "heartbeat")
    assert lines == [
        "airflow.deadline_alerts.deadline_missed,dag_id=q02_daily_report:1|c",
        "airflow.scheduler_heartbeat:1|c",
    ]
    sample = mapped(lines[0])
    assert (sample.name, dict(sample.labels)) == ("airflow_deadline_missed_total", {"dag_id": "q02_daily_report"})


def test_the_trap_a_tag_with_the_id_of_a_run_loses_the_statistic(stats, receiver, monkeypatch, caplog):
    """StatsD separates by ":", which is in every generated run id: Airflow refuses the name, and only the log tells."""
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_DISABLED_TAGS", "")
    monkeypatch.setattr(stats, "_backend", None)
    tags = {"dag_id": "q02", "dagrun_id": "scheduled__2013-06-13T04:00:00+00:00"}
    stats.incr("deadline_alerts.deadline_missed", tags=tags)
    stats.incr("scheduler_heartbeat")
    assert received(receiver, "heartbeat") == ["airflow.scheduler_heartbeat:1|c"]
    assert "Invalid stat name: airflow" in caplog.text or "Invalid stat name: deadline_alerts" in caplog.text


@pytest.mark.claim("2.3")
def test_durations_are_sent_once_in_milliseconds_with_their_tags(stats, receiver):
    stats.timing("task.duration", 1234.5, tags={"dag_id": "q01", "task_id": "group.load"})
    stats.incr("scheduler_heartbeat")
    lines = received(receiver, "heartbeat")
    assert lines[:-1] == ["airflow.task.duration,dag_id=q01,task_id=group.load:1234.500000|ms"]
    sample = mapped(lines[0])
    assert (sample.name, sample.value) == ("airflow_task_duration_seconds", 1.2345)
    assert dict(sample.labels) == {"dag_id": "q01", "task_id": "group.load"}


def test_the_trap_with_legacy_names_every_statistic_is_sent_twice(stats, receiver, monkeypatch):
    """The default of Airflow 3.3. The second name has DAG and task in it, so each task would be a metric of its own."""
    monkeypatch.setattr(stats, "_export_legacy_names", True)
    stats.timing("task.duration", 1000, tags={"dag_id": "q01", "task_id": "load"})
    stats.incr("scheduler_heartbeat")
    lines = received(receiver, "heartbeat")
    assert lines[:-1] == [
        "airflow.dag.q01.load.duration:1000.000000|ms",
        "airflow.task.duration,dag_id=q01,task_id=load:1000.000000|ms",
    ]
    assert mapped(lines[0]) is None


def test_the_trap_without_tags_a_deadline_is_nobodys(stats, receiver, monkeypatch):
    """No DAG in the name, and without [metrics] statsd_influxdb_enabled, none beside it."""
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "False")
    monkeypatch.setattr(stats, "_backend", None)
    stats.incr("deadline_alerts.deadline_missed", tags={"dag_id": "q02"})
    assert received(receiver, "missed") == ["airflow.deadline_alerts.deadline_missed:1|c"]


def test_the_trap_a_receiver_that_does_not_resolve_ends_the_stock_clients_metrics_for_good(
    stats, receiver, monkeypatch, caplog
):
    from statsd import StatsClient

    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_CUSTOM_CLIENT_PATH", f"{StatsClient.__module__}.StatsClient")
    monkeypatch.setattr(stats, "_backend", None)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", _unknown)
        stats.incr("scheduler_heartbeat")
    assert "using NoStatsLogger instead" in caplog.text
    stats.incr("scheduler_heartbeat")
    receiver.settimeout(0.2)
    with pytest.raises(TimeoutError):
        receiver.recv(1024)


@pytest.mark.claim("2.3")
def test_metrics_come_back_with_their_receiver_and_follow_it_to_another_address(receiver, monkeypatch):
    from plugins import statsd_client

    clock, address = [0.0], [None]

    def look_up(*_):
        if address[0] is None:
            _unknown()
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", address[0])]

    monkeypatch.setattr(statsd_client.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(statsd_client.time, "monotonic", lambda: clock[0])
    client = statsd_client.PatientStatsClient("statsd-exporter", 9125, "airflow")
    client.incr("lost")  # and the caller sees no error
    address[0] = receiver.getsockname()
    clock[0] += statsd_client.LOOK_UP_EVERY - 1
    client.incr("not_asked_again_yet")
    clock[0] += 1
    client.incr("arrives")
    assert receiver.recv(1024) == b"airflow.arrives:1|c"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(5)
        address[0] = other.getsockname()
        clock[0] += statsd_client.LOOK_UP_EVERY
        client.incr("moved")
        assert other.recv(1024) == b"airflow.moved:1|c"
    client.incr("into_the_void")  # nobody listens any more, and the caller sees no error
    client.close()


def _unknown(*_):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
