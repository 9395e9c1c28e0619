"""Records every change of state of every task instance of a live stack in its PostgreSQL: exact, nothing is sampled.

Airflow's own history has one start and one end a try: what a task did between a deferral and its resumption is not in it.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import NamedTuple

import psycopg2

OCCUPIED = ("queued", "running")  # the states that take a slot of a pool
INSTALL = """
CREATE TABLE IF NOT EXISTS answers_transitions (
    id bigserial PRIMARY KEY, dag_id text, task_id text, run_id text, pool text, slots int, weight int,
    before text, state text, at timestamptz);
CREATE OR REPLACE FUNCTION answers_record() RETURNS trigger AS $$
BEGIN
    INSERT INTO answers_transitions (dag_id, task_id, run_id, pool, slots, weight, before, state, at)
    VALUES (NEW.dag_id, NEW.task_id, NEW.run_id, NEW.pool, NEW.pool_slots, NEW.priority_weight,
            CASE TG_OP WHEN 'UPDATE' THEN OLD.state END, NEW.state, clock_timestamp());
    RETURN NEW;
END $$ LANGUAGE plpgsql;
DROP TRIGGER IF EXISTS answers_record ON task_instance;
DROP TRIGGER IF EXISTS answers_record_new ON task_instance;
CREATE TRIGGER answers_record AFTER UPDATE OF state ON task_instance
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION answers_record();
CREATE TRIGGER answers_record_new AFTER INSERT ON task_instance FOR EACH ROW EXECUTE FUNCTION answers_record();
"""


class Change(NamedTuple):
    """A task instance entered `state` at an instant; `before` is None when it is new."""

    dag_id: str
    task_id: str
    run_id: str
    pool: str
    slots: int
    weight: int
    before: str | None
    state: str | None
    at: datetime


class Recorder:
    """Records from its creation on. `settings` are those of a running embedded stack."""

    def __init__(self, settings) -> None:
        self._address = settings.database().replace("+psycopg2", "")
        self._execute(INSTALL + "TRUNCATE answers_transitions;")

    def _execute(self, sql: str) -> list[tuple]:
        with closing(psycopg2.connect(self._address)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def changes(self) -> list[Change]:
        """Return what has changed so far, in order."""
        columns = ", ".join(Change._fields)
        return [Change(*row) for row in self._execute(f"SELECT {columns} FROM answers_transitions ORDER BY id")]


def most_at_once(changes: list[Change], pool: str, states: tuple[str, ...] = OCCUPIED) -> int:
    """Return the most slots of a pool that were ever taken at the same time."""
    taken = most = 0
    for change in changes:
        if change.pool == pool:
            taken += change.slots * ((change.state in states) - (change.before in states))
            most = max(most, taken)
    return most


def seconds_in(changes: list[Change], states: tuple[str, ...] = ("running",)) -> dict[tuple[str, str, str], float]:
    """Return (dag_id, task_id, run_id) -> seconds that the task instance spent in these states, over all its legs and tries."""
    entered: dict[tuple[str, str, str], datetime] = {}
    spent: dict[tuple[str, str, str], float] = {}
    for change in changes:
        key = change.dag_id, change.task_id, change.run_id
        if (begun := entered.pop(key, None)) is not None:
            spent[key] = spent.get(key, 0.0) + (change.at - begun).total_seconds()
        if change.state in states:
            entered[key] = change.at
    return spent


def first(changes: list[Change], dag_id: str, task_id: str, state: str) -> datetime:
    """Return when a task first entered a state."""
    return next(each.at for each in changes if (each.dag_id, each.task_id, each.state) == (dag_id, task_id, state))
