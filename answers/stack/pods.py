"""Gives single tasks' pods their resources on Kubernetes, from the configuration of the deployment and not of a DAG.

ANSWERS_POD_RESOURCES is JSON, {"DAG.TASK": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}. It is
set in deploy/kubernetes/settings.env; config/airflow_local_settings.py has Airflow ask here for each pod that it makes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VARIABLE = "ANSWERS_POD_RESOURCES"
# Fields by which a pod gets a Secret, a token of Kubernetes or a folder of its node.
RIGHTS = {"secret_ref", "secret_key_ref", "secret", "service_account_token", "host_path"}


def refuse_rights(pod: Any) -> None:
    """Refuse a task's pod that has more rights than the template: a DAG file may ask for any pod, by `executor_config`.

    :param pod: a kubernetes.client.V1Pod
    :raises PermissionError: it has a Secret, a token or a folder of its node
    """
    spec = pod.spec.to_dict()
    found = sorted(_fields_in(spec) & RIGHTS)
    if spec["automount_service_account_token"] or spec["service_account_name"] not in (None, "", "default"):
        found.append("service_account")
    if found:
        told = pod.metadata.annotations or {}
        who = f"{told.get('dag_id')}.{told.get('task_id')}"
        raise PermissionError(f"the pod of {who} asks for {', '.join(found)}: a task's pod has no Secret and no token")


def _fields_in(value: Any) -> set[str]:
    """Return the names of all fields that have a value, at any depth."""
    if isinstance(value, dict):
        return {key for key, each in value.items() if each}.union(*map(_fields_in, value.values()))
    return set().union(*map(_fields_in, value)) if isinstance(value, list) else set()


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
