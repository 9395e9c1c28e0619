"""Holds what the tests on Kubernetes try beside our own DAGs: tasks that want more than their pods have; one that lasts."""

from airflow.sdk import DAG, task

with DAG("tried_memory", schedule=None, default_args={"retries": 0}):

    @task(executor="KubernetesExecutor")
    def eat(megabytes: int = 1024) -> int:
        """Hold so much memory."""
        return len(b"x" * (megabytes << 20))

    eat()

with DAG("tried_disk", schedule=None, default_args={"retries": 0}):

    @task(executor="KubernetesExecutor")
    def fill(megabytes: int = 512) -> None:
        """Write so much to the pod's own disk, and go on working until somebody ends it."""
        import tempfile
        import threading

        with tempfile.NamedTemporaryFile() as file:
            for _ in range(megabytes):
                file.write(b"x" * (1 << 20))
            file.flush()
            print(f"{megabytes} MB written")
            threading.Event().wait(300)

    fill()

with DAG("tried_patience", schedule=None, max_active_runs=16):

    @task
    def last(data_root: str, run_id=None) -> None:
        """Work until the file `release` is there; an executor of its own was not asked for."""
        import time
        from pathlib import Path

        while not (Path(data_root) / "release").exists():
            time.sleep(0.2)

    last("{{ var.value.data_root }}")
