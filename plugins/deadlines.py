"""Defines RunDue, the instant from which a deadline counts. plugins/answers_plugin.py registers it with Airflow."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class RunDue(BaseDeadlineReference):
    """Counts from when the run could begin: a scheduled one at the end of its data interval, another one when it was asked for.

    So a scheduler that was down does not move the deadline, a day that is run years later is not late at once, and
    clearing a run does not give it more time. Airflow's own references on 3.3.2: DAGRUN_LOGICAL_DATE counts from the
    *beginning* of the interval and does not exist for runs that an asset started; with DAGRUN_QUEUED_AT a run that waits
    for its deadline cannot be cleared (the API answers 500).
    """

    required_kwargs = frozenset({"dag_id", "run_id"})

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime:
        """Compute the deadline. The scheduler or the API server calls it once, when the run is created."""
        from airflow.models import DagRun
        from airflow.utils.types import DagRunType
        from sqlalchemy import select

        query = select(DagRun.run_type, DagRun.run_after, DagRun.queued_at).where(
            DagRun.dag_id == dag_id, DagRun.run_id == run_id
        )
        run_type, run_after, queued_at = session.execute(query).one()
        # A backfill's run_after lies as far back as its interval.
        return (queued_at or run_after) if run_type == DagRunType.BACKFILL_JOB else run_after
