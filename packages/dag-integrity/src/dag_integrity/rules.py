"""Defines the rules: id, severity, why it matters, and what to do. The README shows them as a table that is made from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
RANK: dict[Severity, int] = {"info": 0, "warning": 1, "error": 2}


@dataclass(frozen=True)
class Rule:
    """One thing that is looked for."""

    id: str
    name: str
    severity: Severity
    why: str
    fix: str


_ALL = (
    # 1: the file as a whole
    Rule("AA101", "import-error", "error", "Airflow cannot parse the file: none of its DAGs runs.",
         "Mend what the message names; a module that is missing belongs into the environment that checks, too."),
    Rule("AA102", "parse-timeout", "error", "Parsing does not end; Airflow gives up after [core] dagbag_import_timeout.",
         "Move waiting and work into tasks."),
    Rule("AA103", "parse-crash", "error", "Parsing ends the process (os._exit, a signal): the DAG processor loses it each time.",
         "Do not end the process or load broken native code at the top of a DAG file."),
    Rule("AA104", "parse-memory", "error", "Parsing needs more memory than allowed; the DAG processor would be killed.",
         "Load data in tasks, not at the top of the file."),
    Rule("AA105", "left-running", "error", "Parsing leaves processes or threads behind; they add up with every parse.",
         "Start processes and threads in tasks."),
    Rule("AA106", "duplicate-dag-id", "error", "Two files define one dag_id: which of them runs is a matter of chance.",
         "Give each DAG an id of its own."),
    Rule("AA107", "lost-dag", "error", "The DAG is made and never shown to Airflow: it does not appear, and no error tells.",
         "Call the @dag function; keep the DAG in a name of the module (globals()[...]), or make it in a `with` statement."),
    Rule("AA109", "stand-in", "info", "A package is not installed here: what was found behind its stand-in is not sure.",
         "Install the package where the check runs; until then nothing that rests on the stand-in is an error."),
    # 2: dependencies
    Rule("AA201", "cycle-in-dag", "error", "Tasks of a DAG wait for each other: Airflow refuses the DAG.",
         "Remove one of the edges that the message prints."),
    Rule("AA202", "cycle-across-dags", "error",
         "DAGs wait for each other until the sensors time out, or start each other without end.",
         "Remove one of the edges that the message prints, or wait for an earlier date (execution_delta)."),
    Rule("AA203", "conditional-cycle", "warning",
         "DAGs may wait for each other or start each other without end, depending on a branch.",
         "Make sure that the branch ends it, and say so in a comment that suppresses this rule."),
    Rule("AA204", "unknown-dag", "error", "A sensor or trigger names a DAG that does not exist: it waits or fails for ever.",
         "Correct the dag_id; a DAG of another repository belongs into known-dags."),
    Rule("AA205", "unknown-task", "error", "A sensor names a task or group that the DAG does not have: it waits in vain.",
         "Correct the task_id (a task in a group is `group.task`)."),
    Rule("AA206", "deferrable-several-tasks", "error",
         "Deferrable with several external_task_ids misses a partial failure and waits until it times out.",
         "One sensor a task, or deferrable=False."),
    Rule("AA207", "self-trigger", "info", "Each run of the DAG starts the next one, without end.",
         "Fine when it is meant; otherwise put the trigger behind a condition."),
    Rule("AA208", "crossing-groups", "warning",
         "The tasks have no cycle, their task groups have: the DAG runs, and its page in the UI is an error.",
         "Regroup the tasks so that all edges between two groups point the same way."),
    Rule("AA209", "sensor-never-matches", "warning",
         "The sensor looks for a logical date that the other DAG never has: it waits until it times out.",
         "Set execution_delta or execution_date_fn to a date that the other DAG has, or let an asset start the DAG."),
    # 3: settings of DAGs and tasks
    Rule("AA301", "sensor-without-timeout", "warning", "The default timeout is seven days: nobody hears of it for a week.",
         "Set timeout= to how late the awaited thing may be."),
    Rule("AA302", "no-owner", "warning", "Nobody is responsible when it fails.", 'Set default_args={"owner": ...}.'),
    Rule("AA303", "no-retries", "warning", "A passing fault (network, restart) fails the run.",
         "Set retries in default_args, or [core] default_task_retries once for all (see env-file)."),
    Rule("AA304", "no-tags", "info", "Without tags a DAG is hard to find among many.", "Set tags=[...]."),
    Rule("AA305", "no-description", "info", "Nobody knows what the DAG is for.", "Set description= or doc_md=."),
    Rule("AA306", "unknown-pool", "error", "A task in a pool that does not exist is never scheduled.",
         "Correct the name, create the pool, or add it to known-pools."),
    Rule("AA307", "unknown-connection", "error", "The task fails at run time: the connection is not defined.",
         "Correct the conn_id, define the connection, or add it to known-connections."),
    Rule("AA308", "unknown-variable", "error", "The task fails at run time: the variable is not defined.",
         "Correct the key, define the variable, or add it to known-variables."),
    Rule("AA309", "deadline-callback-in-dag-file", "error",
         "The triggerer cannot import a callback that is defined in a DAG file: the alert is lost.",
         "Move the callback to a module in plugins/ or an installed package."),
    Rule("AA310", "missing-template-file", "error",
         "A text that ends like a template file is loaded as one, and the file is not there: the task fails.",
         "Correct the path (relative to the DAG file or template_searchpath), or end a command with a blank."),
    # 4: at parse
    Rule("AA401", "database-at-parse", "error", "Every parse asks a database; Airflow 3 forbids its own to DAG files.",
         "Ask in a task."),
    Rule("AA402", "network-at-parse", "error", "Every parse asks another machine; when that is slow or down, the DAGs are gone.",
         "Ask in a task, or let a task write a file that the DAG reads."),
    Rule("AA403", "lookup-at-parse", "warning", "Every parse looks up a variable or connection in the secrets backend.",
         "Use a template ({{ var.value.x }}, {{ conn.x.host }}) or look up in the task."),
    Rule("AA404", "process-at-parse", "warning", "Every parse starts a program.", "Start it in a task."),
    Rule("AA405", "slow-parse", "warning",
         "Parsing costs more CPU or sleeps longer than the budget (parse-budget); every task pays it again.",
         "Move work into tasks."),
    Rule("AA406", "heavy-import", "warning",
         "Imports cost more CPU than the budget (import-budget) or are on the list heavy-imports; every task pays them again.",
         "Import inside the task's function."),
    Rule("AA407", "unstable-dag", "error", "Two parses give different DAGs: Airflow stores a new version again and again.",
         "Take out the time, random values and the order of sets; sort what is listed."),
    Rule("AA408", "dynamic-value", "error",
         "A DAG or task argument is computed from the current time: start dates move, versions multiply.",
         "Write a fixed value; templates ({{ ds }}) give the date at run time."),
    Rule("AA409", "relative-path", "warning",
         "What is read depends on the folder where Airflow happens to be started; on another machine it is not there.",
         "Build the path from the DAG file: Path(__file__).parent / ..."),
    # 5: schedule
    Rule("AA501", "bare-cron-interval", "warning",
         "In Airflow 3 a bare cron or timedelta schedule has an empty data interval: start equals end.",
         "schedule=CronDataIntervalTimetable(...) where an interval is meant."),
    Rule("AA502", "long-catchup", "warning", "catchup=True creates more runs at once than max-catchup-runs.",
         "catchup=False and a backfill of the period that is wanted, or a later start_date."),
    Rule("AA503", "never-scheduled", "error", "The schedule never creates a run.",
         "Give the DAG a start_date before its end_date; catchup=True with an interval timetable needs a start_date."),
    Rule("AA504", "no-schedule-argument", "info", "The default schedule is None since Airflow 3.0; it was daily before.",
         "Write schedule=..., also schedule=None."),
    Rule("AA505", "no-logical-date", "warning",
         "A run that an asset started has no logical date: the task that asks for it fails.",
         "Use {{ dag_run.run_after | ds }} or triggering_asset_events, or give a default."),
    # 6: Airflow 2 code
    Rule("AA601", "removed-in-airflow-3", "error", "Removed in Airflow 3: an import error, or an argument that is refused.",
         "Use the replacement that the message names; `ruff check --select AIR --fix` does much of it."),
    Rule("AA602", "ignored-argument", "error", "The argument is accepted and has no effect since Airflow 3.0.",
         "Remove it; for sla and sla_miss_callback use deadline=DeadlineAlert(...)."),
    Rule("AA603", "moved-in-airflow-3", "error", "Moved into a provider package in Airflow 3: the old import fails.",
         "Import it from the provider that the message names, and install that."),
    Rule("AA604", "deprecated-in-airflow-3", "info", "Works in Airflow 3 and will be removed.",
         "Use the replacement that the message names."),
    Rule("AA605", "removed-template-variable", "error",
         "The variable is gone from templates and context since Airflow 3.0: the task that asks for it fails.",
         "execution_date is logical_date; next_ds and the like are computed: {{ macros.ds_add(ds, 1) }}."),
    # 7: secrets
    Rule("AA701", "hard-coded-secret", "error", "A secret in code is known to everybody who can read the repository.",
         "Move it to a connection or secrets backend and revoke it; `# pragma: allowlist secret` marks a harmless one."),
    # 9: the suppressions
    Rule("AA901", "unused-suppression", "warning", "The comment suppresses nothing and would hide a later finding.",
         "Remove the comment, or the id from it."),
    Rule("AA902", "unknown-suppression", "warning", "The comment names a rule that does not exist.",
         "Correct the id (`dag-integrity --list-rules`)."),
)  # fmt: skip

RULES: dict[str, Rule] = {rule.id: rule for rule in _ALL}


def matching(prefixes: list[str]) -> set[str]:
    """Return the ids of rules that start with one of `prefixes`: `AA2` is the whole group.

    :raises ValueError: a prefix fits no rule
    """
    found: set[str] = set()
    for prefix in prefixes:
        ids = {id_ for id_ in RULES if id_.startswith(prefix)} if prefix else set()
        if not ids:
            raise ValueError(f"{prefix!r} is no rule or group of rules (`dag-integrity --list-rules` lists them)")
        found |= ids
    return found
