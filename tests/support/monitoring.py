"""The monitoring's files as the tests read them, and a small matcher that does with a datagram what statsd_exporter does.

The matcher knows what config/statsd/mapping.yml uses: globs, the final regex, literal labels and $1, match_metric_type. That
the real exporter agrees with it is tested in tests/compose.
"""

import json
import re
from dataclasses import dataclass
from fnmatch import translate

import yaml

from support import PROJECT

MAPPING = yaml.safe_load((PROJECT / "config/statsd/mapping.yml").read_text())
RULES = yaml.safe_load((PROJECT / "config/prometheus/rules.yml").read_text())
RULE_TESTS = yaml.safe_load((PROJECT / "config/prometheus/rules_test.yml").read_text())
DASHBOARD = json.loads((PROJECT / "config/grafana/dashboard.json").read_text())
TYPES = {"c": "counter", "g": "gauge", "ms": "observer"}
FULL_NAME = re.compile(r"\b(?:airflow[a-z0-9_]*(?::[a-z0-9_]+)*|up|ALERTS)\b")


@dataclass(frozen=True)
class Sample:
    """Holds what one datagram adds to: a series and the value, durations in seconds."""

    name: str
    labels: frozenset[tuple[str, str]]
    value: float

    def __getitem__(self, label: str) -> str | None:
        return dict(self.labels).get(label)


def send_metrics(stats, factory, receiver, monkeypatch) -> None:
    """Let Airflow's statistics of this process, configured as on both stacks (config/airflow.env), go to a UDP socket.

    :param stats: the module of Airflow's core, or its twin in the task SDK
    :param factory: returns what makes its backend, as the configuration is then
    """
    from airflow.configuration import conf

    host, port = receiver.getsockname()
    for name, value in {"ON": "True", "HOST": host, "PORT": str(port)}.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
    for name in ("_factory", "_backend", "_export_legacy_names"):
        monkeypatch.setattr(stats, name, getattr(stats, name))
    stats.initialize(factory=factory(), export_legacy_names=conf.getboolean("metrics", "legacy_names_on"))


def mapped(datagram: str) -> Sample | None:
    """Return the sample that statsd_exporter makes of `name,tag=value:1|c`, or of `...|c|@0.1`; None if it drops it."""
    stat, _, rest = datagram.partition(":")
    value, kind, *rate = rest.split("|")
    sent = float(rate[0].removeprefix("@")) if rate and kind == "c" else 1  # of a sampled counter, this share
    name, *tags = stat.split(",")
    for rule in MAPPING["mappings"]:
        if "match_metric_type" in rule and rule["match_metric_type"] != TYPES[kind]:
            continue
        if rule.get("match_type") == "regex":
            match = re.search(rule["match"], name)
        else:
            # A star stands for one component of the name.
            match = re.match(translate(rule["match"]).replace(".*", r"([^.]+)"), name)
        if match:
            if rule.get("action") == "drop":
                return None
            own = {
                key: text.replace("$1", match[1] if match.re.groups else "")
                for key, text in rule.get("labels", {}).items()
            }
            labels = dict(tag.split("=", 1) for tag in tags) | own
            seen = frozenset((key, text) for key, text in labels.items() if text)  # an empty label is none
            return Sample(rule["name"], seen, float(value) / (1000 if kind == "ms" else sent))
    raise AssertionError(f"{datagram}: no rule matches it, so it would become a metric of its own")


def produced() -> set[str]:
    """Return every metric that the mapping can make, timers with their parts, and every series that a rule records."""
    names = {rule["name"] for rule in MAPPING["mappings"] if rule.get("action") != "drop"}
    timers = {name for name in names if name.endswith("_seconds")}
    recorded = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
    return names | {f"{name}_{part}" for name in timers for part in ("sum", "count")} | recorded | {"up", "ALERTS"}


def named(expression: str) -> set[str]:
    """Return the metrics that a PromQL expression names; a regex over names gives all that it matches."""
    names = set()
    for pattern in re.findall(r'__name__=~"([^"]+)"', expression):
        found = {name for name in produced() if re.fullmatch(pattern, name)}
        assert found, f"no metric matches {pattern}"
        names |= found
    return names | set(FULL_NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


def alerts() -> list[dict]:
    """Return the alerting rules."""
    return [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


def dashboard_expressions() -> list[tuple[str, str]]:
    """(title of the panel, expression) of every query of the dashboard."""
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
