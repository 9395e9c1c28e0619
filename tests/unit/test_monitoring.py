"""The monitoring's files against each other and against the pinned Airflow; promtool and live tests are in tests/compose."""

import re

import pytest
import yaml

from answers.stack import dotenv
from support import PROJECT
from support.monitoring import (
    DASHBOARD,
    MAPPING,
    RULE_TESTS,
    RULES,
    alerts,
    dashboard_expressions,
    named,
    produced,
)


@pytest.mark.claim("2.4")
def test_rules_and_dashboard_name_only_metrics_that_exist():
    expressions = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    expressions += [expression for _, expression in dashboard_expressions()]
    assert len(expressions) > 40
    unknown = {name for expression in expressions for name in named(expression)} - produced()
    assert not unknown
    # The same of what promtool is fed: a test of a metric that nobody sends would prove nothing.
    fed = {series["series"].partition("{")[0] for test in RULE_TESTS["tests"] for series in test["input_series"]}
    assert fed <= produced()


@pytest.mark.claim("2.4")
def test_every_label_that_a_rule_asks_for_has_values_that_the_mapping_gives():
    given: dict[str, set[str]] = {}
    for rule in MAPPING["mappings"]:
        for label, value in rule.get("labels", {}).items():
            given.setdefault(label, set()).update(
                {"scheduled", "queued", "running", "deferred"} if value == "$1" else {value}
            )
    expressions = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    expressions += [expression for _, expression in dashboard_expressions()]
    asked = {
        (label, value)
        for expression in expressions
        for label, value in re.findall(r'\b(state|outcome|component)="([^"]+)"', expression)
    }
    assert len(asked) >= 4
    assert not {(label, value) for label, value in asked if value not in given[label]}
    quantiles = {str(each["quantile"]) for each in MAPPING["defaults"]["summary_options"]["quantiles"]}
    assert {value for each in expressions for value in re.findall(r'quantile="([^"]+)"', each)} <= quantiles


@pytest.mark.claim("2.4")
def test_every_class_of_tasks_has_one_threshold_and_every_task_one_class():
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    thresholds = {
        rule["labels"]["task_class"]: float(re.fullmatch(r"vector\((\d+)\)", rule["expr"])[1])
        for rule in rules
        if rule.get("record") == "airflow:task_duration_threshold_seconds"
    }
    classes = {
        rule["labels"]["task_class"]: re.search(r'(and|unless) on .*operator_name=~"([^"]+)"', rule["expr"]).groups()
        for rule in rules
        if rule.get("record") == "airflow:task_duration_seconds:p99"
    }
    assert set(classes) == set(thresholds)
    page = (PROJECT / "docs/q02.md").read_text().lower()
    assert [name for name, seconds in thresholds.items() if f"{name} {seconds:,.0f} s" not in page] == []

    def classes_of(operator):
        return {
            name
            for name, (word, pattern) in classes.items()
            if bool(re.fullmatch(pattern, operator)) == (word == "and")
        }

    assert classes_of("SparkSubmitOperator") == {"spark"}
    assert classes_of("ExternalTaskSensor") == classes_of("DecoratedSensorOperator") == {"sensor"}
    for operator in ("BashOperator", "_PythonDecoratedOperator", "PublishPartitionOperator", "EmptyOperator"):
        assert classes_of(operator) == {"light"}
    [alert] = [rule for rule in alerts() if rule["alert"] == "TaskDurationTooLong"]
    assert re.fullmatch(r"(\S+) > on \(task_class\) group_left \(\) (\S+)", alert["expr"])


@pytest.mark.claim("2.4")
def test_every_alert_says_how_bad_what_and_what_to_do():
    page = (PROJECT / "docs/q02.md").read_text()
    anchors = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", page, re.M)}
    assert alerts()
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        path, anchor = rule["annotations"]["runbook"].split("#")
        assert path == "docs/q02.md"
        assert anchor in anchors


@pytest.mark.claim("2.4")
@pytest.mark.parametrize("alert", sorted({rule["alert"] for rule in alerts()}))
def test_promtool_is_asked_that_the_alert_fires_does_not_and_resolves(alert):
    """In one of the alert's tests there is nothing, then something, then less again."""
    told = [
        [
            len(each["exp_alerts"])
            for each in sorted(test["alert_rule_test"], key=lambda each: minutes(each["eval_time"]))
        ]
        for test in RULE_TESTS["tests"]
        if {each["alertname"] for each in test["alert_rule_test"]} == {alert}
    ]
    assert any(a < b > c for counts in told for a, b, c in zip(counts, counts[1:], counts[2:], strict=False))
    expressions = {rule["expr"] for rule in alerts() if rule["alert"] == alert}
    fired = {
        tuple(sorted(expected["exp_labels"].items()))
        for test in RULE_TESTS["tests"]
        for each in test["alert_rule_test"]
        if each["alertname"] == alert
        for expected in each["exp_alerts"]
    }
    assert len(fired) >= len(expressions)


def minutes(text: str) -> float:
    return float(text[:-1]) * {"s": 1 / 60, "m": 1, "h": 60}[text[-1]]


@pytest.mark.claim("2.4")
def test_every_alert_goes_to_webhook_and_e_mail_when_it_fires_and_when_it_is_resolved():
    routing = yaml.safe_load((PROJECT / "config/alertmanager/alertmanager.yml").read_text())
    assert "routes" not in routing["route"]
    [receiver] = routing["receivers"]
    assert receiver["name"] == routing["route"]["receiver"]
    assert [(each["url"], each["send_resolved"]) for each in receiver["webhook_configs"]] == [
        ("http://catcher:9080/alerts", True)
    ]
    assert [each["send_resolved"] for each in receiver["email_configs"]] == [True]
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    assert {"catcher", routing["global"]["smtp_smarthost"].split(":")[0]} <= set(compose)


@pytest.mark.claim("2.3")
def test_the_containers_are_wired_to_each_other():
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    scheduler = compose["services"]["airflow-scheduler"]["environment"]
    assert scheduler["AIRFLOW__METRICS__STATSD_ON"] == "True"
    assert scheduler["AIRFLOW__METRICS__STATSD_HOST"] in compose["services"]
    prometheus = yaml.safe_load((PROJECT / "config/prometheus/prometheus.yml").read_text())
    [job] = prometheus["scrape_configs"]
    targets = [target for each in job["static_configs"] for target in each["targets"]]
    targets += [
        target
        for manager in prometheus["alerting"]["alertmanagers"]
        for each in manager["static_configs"]
        for target in each["targets"]
    ]
    assert {target.split(":")[0] for target in targets} == {"statsd-exporter", "alertmanager"}
    # Embedded there is no receiver unless somebody names one.
    assert "AIRFLOW__METRICS__STATSD_ON" not in dotenv.read(PROJECT / "config/airflow.env")


def test_the_dashboard_asks_the_source_that_its_reader_chooses():
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "dag"}
    used = {name for _, each in dashboard_expressions() for name in re.findall(r"\$(\w+)", each)}
    assert used <= variables | {"__rate_interval"}
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {"${datasource}"}
    places = [tuple(panel["gridPos"][key] for key in "xy") for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
