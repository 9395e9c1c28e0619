"""Links to pages of Airflow's UI, for messages to people."""

from __future__ import annotations

from urllib.parse import quote


def link_of_run(dag_id: str, run_id: str) -> str:
    """Return the address of a run's page, as [api] base_url has it."""
    from airflow.configuration import conf

    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
