"""What single tasks' pods may use on Kubernetes: configuration of the deployment, not of a DAG.

ANSWERS_POD_RESOURCES is JSON, {"DAG.TASK": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}. It is
set in deploy/kubernetes/settings.env; config/airflow_local_settings.py has Airflow ask here for each pod that it makes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VARIABLE = "ANSWERS_POD_RESOURCES"


def give_resources(pod: Any, environment: Mapping[str, str]) -> None:
    """Set requests and limits of a task's pod as configured; a task without an entry keeps those of the template.

    :param pod: a kubernetes.client.V1Pod with the annotations dag_id and task_id
    :raises ValueError: the configuration is no JSON
    :raises TypeError: an entry has a key that Kubernetes does not know
    """
    if not (configured := environment.get(VARIABLE)):
        return
    told = pod.metadata.annotations or {}
    entry = json.loads(configured).get(f"{told.get('dag_id')}.{told.get('task_id')}")
    if entry:
        from kubernetes.client import V1ResourceRequirements

        pod.spec.containers[0].resources = V1ResourceRequirements(**entry)
