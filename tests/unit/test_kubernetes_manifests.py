"""deploy/kubernetes without a cluster: what Kubernetes knows of it, what it allows, and the pods that Airflow makes from it."""

import json
import runpy
from collections.abc import Iterator

import pytest
import yaml

from answers.deploy import roll
from answers.stack import dotenv
from support import PROJECT

pytestmark = pytest.mark.claim("7.2")
FOLDER = PROJECT / "deploy/kubernetes"
TEMPLATE = FOLDER / "templates/task-pod.yaml"
SETTINGS = dotenv.read(FOLDER / "settings.env")
FILES = sorted([*FOLDER.glob("*.yaml"), TEMPLATE])
TRANSFORM = "q01_flights_to_clickhouse.transform"
PARTS = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")


def objects() -> Iterator[dict]:
    for file in FILES:
        for document in yaml.safe_load_all(file.read_text()):
            yield from document["items"] if document["kind"] == "List" else [document]


def of_kind(kind: str) -> dict[str, dict]:
    return {each["metadata"].get("name", ""): each for each in objects() if each["kind"] == kind}


def pod_specs() -> dict[str, dict]:
    found = {"task": yaml.safe_load(TEMPLATE.read_text())["spec"]}
    for kind in ("Deployment", "Job"):
        found |= {name: each["spec"]["template"]["spec"] for name, each in of_kind(kind).items()}
    return found


def without_nothing(value):
    """A document without what says nothing: null, and empty lists, which the client leaves out."""
    if isinstance(value, dict):
        kept = {key: without_nothing(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, [])}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value


def environment(spec: dict) -> tuple[set[str], dict[str, str]]:
    """(The Secrets that a pod's first container gets, the variables whose values are written in the manifest)."""
    (container,) = spec["containers"]
    secrets = {each["secretRef"]["name"] for each in container.get("envFrom", []) if "secretRef" in each}
    written = {}
    for each in container.get("env") or []:
        if "value" in each:
            written[each["name"]] = each["value"]
        elif "secretKeyRef" in each["valueFrom"]:
            secrets.add(each["valueFrom"]["secretKeyRef"]["name"])
    return secrets, written


def test_kubernetes_knows_every_field():
    """Read into the models of Kubernetes' own client and written again: a field it does not know would be missing."""
    from kubernetes import client

    api = client.ApiClient()
    seen = list(objects())
    assert len(seen) > 15
    for each in seen:
        model = getattr(client, f"V1{each['kind']}")
        again = api.sanitize_for_serialization(api._ApiClient__deserialize_model(each, model))
        assert without_nothing(json.loads(json.dumps(again))) == without_nothing(each), each["kind"]


def test_the_folder_can_be_applied_as_it_is():
    """The template is a pod: were it among the manifests, `kubectl apply -f deploy/kubernetes` would start it."""
    applied = [document["kind"] for file in FOLDER.glob("*.yaml") for document in yaml.safe_load_all(file.read_text())]
    assert "Pod" not in applied
    assert set(of_kind("Deployment")) == {f"airflow-{part}" for part in PARTS}


@pytest.mark.parametrize("name", sorted(pod_specs()))
def test_a_pod_has_the_rights_of_the_restricted_standard_and_bounded_resources(name):
    spec = pod_specs()[name]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]
    for container in spec["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["image"] == "airflow-answers:0.1.0"
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_only_the_scheduler_and_the_api_server_have_a_token_and_it_reaches_pods_of_the_namespace_only():
    tokens = {name for name, spec in pod_specs().items() if spec["automountServiceAccountToken"]}
    assert tokens == {"airflow-scheduler", "airflow-api-server"}
    assert not of_kind("ClusterRole")
    assert not of_kind("ClusterRoleBinding")
    allowed = {
        name: {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
        for name, role in of_kind("Role").items()
    }
    assert {resource for resource, _ in allowed["airflow-scheduler"]} == {"pods"}
    assert allowed["airflow-api-server"] == {("pods", "get"), ("pods", "list"), ("pods/log", "get")}
    assert "*" not in json.dumps([role["rules"] for role in of_kind("Role").values()])


@pytest.mark.claim("6.6")
def test_secrets_are_references_and_each_part_has_its_own_and_a_task_has_none():
    secrets = {name: environment(spec)[0] for name, spec in pod_specs().items()}
    assert secrets["task"] == set()
    assert secrets["airflow-worker"] == {"airflow-worker-broker"}
    assert secrets["airflow-scheduler"] == {"airflow-database", "airflow-tokens", "airflow-broker"}
    for part in ("dag-processor", "triggerer"):
        assert secrets[f"airflow-{part}"] == {"airflow-database", "airflow-connections"}
    everything = {"airflow-database", "airflow-tokens", "airflow-sessions", "airflow-connections", "airflow-admin"}
    assert secrets["airflow-api-server"] == everything
    assert secrets["airflow-migrate"] == {"airflow-database"}
    for name, spec in pod_specs().items():
        written = environment(spec)[1]
        assert not [key for key in written if "PASSWORD" in key.replace("PASSWORDS_FILE", "") or "KEY" in key], name
    assert not [
        key for key in SETTINGS if "PASSWORD" in key or "SECRET" in key or "CONN" in key or key.endswith("_KEY")
    ]


@pytest.mark.claim("10.3")
def test_a_roll_never_has_fewer_workers_and_gives_them_time_to_end_their_tasks():
    worker = of_kind("Deployment")["airflow-worker"]["spec"]
    assert worker["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    spec = worker["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == roll.GRACE, "as `answers roll` grants it"
    (container,) = spec["containers"]
    assert container["command"][:3] == ["airflow", "celery", "worker"], "it gets the SIGTERM, no shell in between"
    assert container["readinessProbe"]["exec"]["command"][-1] == "worker", "ready means that it answers on the broker"


def made(dag_id: str, task_id: str, resources: str | None, monkeypatch, override=None):
    """The pod that KubernetesExecutor makes for a task: Airflow's own code, with the project's template and hook."""
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    monkeypatch.delenv("ANSWERS_POD_RESOURCES", raising=False)
    if resources is not None:
        monkeypatch.setenv("ANSWERS_POD_RESOURCES", resources)
    pod = PodGenerator.construct_pod(
        dag_id=dag_id,
        task_id=task_id,
        pod_id="a-pod",
        try_number=1,
        kube_image="airflow-answers:two",
        date=None,
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
        pod_override_object=override,
        base_worker_pod=PodGenerator.deserialize_model_file(str(TEMPLATE)),
        namespace="airflow",
        scheduler_job_id="1",
        run_id="a-run",
    )
    runpy.run_path(str(PROJECT / "config/airflow_local_settings.py"))["pod_mutation_hook"](pod)
    return PodGenerator.serialize_pod(pod)["spec"]


def test_a_heavy_task_gets_what_the_configuration_has_for_it_and_others_what_the_template_has(monkeypatch):
    configured = SETTINGS["ANSWERS_POD_RESOURCES"]
    (heavy,) = made(*TRANSFORM.split(".", 1), configured, monkeypatch)["containers"]
    assert heavy["resources"] == json.loads(configured)[TRANSFORM]
    assert (heavy["name"], heavy["image"]) == ("base", "airflow-answers:two")
    (template,) = pod_specs()["task"]["containers"]
    for dag_id, task_id, resources in (
        ("q01_flights_to_clickhouse", "ingest", configured),
        ("q07_scale", "by_spark.land", configured),
        ("q01_flights_to_clickhouse", "transform", None),
        ("q01_flights_to_clickhouse", "transform", "{}"),
    ):
        (light,) = made(dag_id, task_id, resources, monkeypatch)["containers"]
        assert light["resources"] == template["resources"]
    (grouped,) = made("q07_scale", "by_spark.transform", configured, monkeypatch)["containers"]
    assert grouped["resources"]["requests"]["cpu"] == "2"


def test_a_task_pod_keeps_the_rights_of_the_template(monkeypatch):
    spec = made(*TRANSFORM.split(".", 1), SETTINGS["ANSWERS_POD_RESOURCES"], monkeypatch)
    template = pod_specs()["task"]
    for key in ("automountServiceAccountToken", "securityContext", "terminationGracePeriodSeconds", "volumes"):
        assert spec[key] == template[key]
    assert spec["containers"][0]["securityContext"] == template["containers"][0]["securityContext"]


@pytest.mark.claim("6.6")
@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"containers": [{"name": "base", "envFrom": [{"secretRef": {"name": "airflow-tokens"}}]}]}, "secret_ref"),
        ({"volumes": [{"name": "all", "secret": {"secretName": "airflow-tokens"}}]}, "secret"),
        ({"volumes": [{"name": "all", "projected": {"sources": [{"secret": {"name": "airflow-tokens"}}]}}]}, "secret"),
        ({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "host_path"),
        ({"serviceAccountName": "airflow-scheduler"}, "service_account"),
        ({"automountServiceAccountToken": True}, "service_account"),
    ],
)
def test_a_dag_file_gets_no_pod_with_more_rights(asked, named, monkeypatch):
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    override = PodGenerator.deserialize_model_dict({"spec": {"containers": [{"name": "base"}], **asked}})
    with pytest.raises(PermissionError, match=rf"the pod of a\.b asks for {named}: a task's pod has no Secret"):
        made("a", "b", None, monkeypatch, override)
    made("a", "b", None, monkeypatch, PodGenerator.deserialize_model_dict({"spec": {"containers": [{"name": "base"}]}}))


@pytest.mark.parametrize("wrong", ['{"a.b": {"request": {"cpu": "1"}}}', "no json"])
def test_a_mistake_in_the_configuration_is_an_error_and_not_a_pod_without_bounds(wrong, monkeypatch):
    with pytest.raises((TypeError, ValueError)):
        made("a", "b", wrong, monkeypatch)
