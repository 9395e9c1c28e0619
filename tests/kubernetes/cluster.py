"""Airflow on Kubernetes for tests: deploy/kubernetes in a namespace of its own, and what tests ask of it."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from answers.stack import dotenv
from answers.stack.client import Airflow
from include.waiting import patience
from support import PROJECT, SOONER, wait_for

MANIFESTS = PROJECT / "deploy/kubernetes"
HERE = Path(__file__).parent
NAMESPACE = "airflow-answers-test"
SERVICES = f"{NAMESPACE}-services"
IMAGE = "airflow-answers"
RELEASED = f"{IMAGE}:0.1.0"  # what the manifests name
OLD, NEW = "kubernetes-old", "kubernetes-new"  # two tags
UPSTREAM = ("postgres:17", "redis:8", "clickhouse/clickhouse-server:26.9")

# Besides SOONER: the tests' image, and their own DAGs beside the project's.
OWN = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG": OLD,
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
        [
            {"name": name, "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": kwargs}
            for name, kwargs in (
                ("dags-folder", {}),
                ("tried", {"path": "/opt/airflow/data/tried"}),
                ("attack", {"path": "/opt/airflow/data/attacking"}),
            )
        ]
    ),
}
SMALL = {
    "tried_memory.eat": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
    "tried_disk.fill": {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"memory": "512Mi", "ephemeral-storage": "64Mi"},
    },
}


def missing() -> str:
    """Return what keeps the tests from running on this machine, empty if nothing does."""
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    if not os.environ.get("ANSWERS_IMAGE_LOAD"):
        return (
            "ANSWERS_IMAGE_LOAD is not set: the command that gives the cluster images, such as `kind load docker-image`"
        )
    for program in ("kubectl", "docker"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if subprocess.run(["kubectl", "get", "--raw", "/readyz"], capture_output=True, timeout=patience(60)).returncode:
        return "no Kubernetes answers"
    if subprocess.run(["docker", "info"], capture_output=True).returncode:
        return "no Docker daemon answers"
    return ""


def within(seconds: float) -> str:
    """The option that makes kubectl wait so long, on the recorded machine."""
    return f"--timeout={patience(seconds):.0f}s"


class Cluster:
    """Airflow in a namespace of a cluster that has one node, whose folders its volumes are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        dotenv.complete(folder / "secrets.env")
        self.secrets = dotenv.read(folder / "secrets.env")
        self.settings = (
            dotenv.read(PROJECT / "config/airflow.env") | dotenv.read(MANIFESTS / "settings.env") | SOONER | OWN
        )
        self.resources = json.loads(self.settings["ANSWERS_POD_RESOURCES"]) | SMALL
        self.settings["ANSWERS_POD_RESOURCES"] = json.dumps(self.resources)
        self._forward: subprocess.Popen | None = None

    def kubectl(
        self, *arguments: str, namespace: str = NAMESPACE, given: str | None = None, check: bool = True
    ) -> bytes:
        """Standard output of `kubectl ARGUMENTS`; an error with all of its output if it fails."""
        command = ["kubectl", "--namespace", namespace, *arguments]
        done = subprocess.run(
            command, input=given.encode() if given else None, capture_output=True, timeout=patience(700)
        )
        if check and done.returncode:
            raise AssertionError(f"{shlex.join(command)}: {(done.stdout + done.stderr).decode()[-4000:]}")
        return done.stdout

    def get(self, *arguments: str) -> dict:
        """JSON of `kubectl get ARGUMENTS`."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def pods(self, **labels: str) -> list[dict]:
        """The pods with these labels, whatever their state."""
        return self.get("pods", "--selector", ",".join(f"{key}={value}" for key, value in labels.items()))["items"]

    def part(self, name: str) -> list[dict]:
        """The pods of a part of Airflow, such as "worker", those that end included."""
        return self.pods(**{"app.kubernetes.io/component": name})

    # -- up and down

    def images(self) -> None:
        """Build the image, give it two tags, and give the cluster both and what stands beside them."""
        environment = os.environ | {"IMAGE_TAG": OLD}
        compose = ["docker", "compose", "--env-file", str(self.folder / "secrets.env")]
        build = [*compose, "build", "--build-arg", "KUBERNETES=1", "airflow-init"]
        load = [*shlex.split(os.environ["ANSWERS_IMAGE_LOAD"]), f"{IMAGE}:{OLD}", f"{IMAGE}:{NEW}", *UPSTREAM]
        for command in (build, ["docker", "tag", f"{IMAGE}:{OLD}", f"{IMAGE}:{NEW}"], load):
            done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{shlex.join(command)}: {(done.stdout + done.stderr)[-4000:]}"

    def up(self) -> None:
        """Remove what an earlier run left, then do what docs/q07.md says, on volumes that are folders of this machine."""
        self.down()
        self.images()
        for namespace in (NAMESPACE, SERVICES):
            self.kubectl("create", "namespace", namespace)
            self.kubectl("wait", "--for=create", "serviceaccount/default", within(60), namespace=namespace)
        # Kubernetes itself refuses pods with more rights than these.
        self.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        names = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "WORKER_BROKER_PASSWORD", "CLICKHOUSE_PASSWORD")
        self._secret("services", {name: self.secrets[name] for name in names}, SERVICES)
        self.kubectl("apply", "--filename", str(HERE / "services.yaml"), namespace=SERVICES)
        for name, values in self._secrets().items():
            self._secret(name, values)
        settings = self.folder / "settings.env"
        settings.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()))
        self.kubectl("create", "configmap", "airflow-settings", f"--from-env-file={settings}")
        self.kubectl("create", "configmap", "airflow-templates", f"--from-file={MANIFESTS}/templates")
        self._volumes()
        self.kubectl("apply", "--filename", str(MANIFESTS / "access.yaml"))
        self.kubectl("wait", "--for=condition=Ready", "pod", "--all", within(120), namespace=SERVICES)
        self._apply("migrate.yaml")
        self.kubectl("wait", "--for=condition=Complete", "job/airflow-migrate", within(180))
        self._apply("airflow.yaml")
        for deployment in self.get("deployments")["items"]:
            self.kubectl("rollout", "status", f"deployment/{deployment['metadata']['name']}", within(240))

    def down(self) -> None:
        """Remove all of it."""
        self.hang_up()
        # A worker would have ten minutes to end its tasks, and one that is deleted alone would come back.
        self.kubectl("delete", "deployments", "--all", "--cascade=orphan", check=False)
        self.kubectl("delete", "replicasets", "--all", "--cascade=orphan", check=False)
        self.kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false", check=False)
        self.kubectl("delete", "namespace", NAMESPACE, SERVICES, "--ignore-not-found", within(120))
        volumes = [f"{NAMESPACE}-{name}" for name in ("data", "logs")]
        self.kubectl("delete", "persistentvolume", *volumes, "--ignore-not-found", within(60))

    def report(self) -> str:
        """Pods, events and the ends of logs, for a failed test."""
        parts = [("get", "pods", "--output=wide"), ("get", "events", "--sort-by=.lastTimestamp")]
        parts += [("logs", f"deployment/airflow-{part}", "--tail=25") for part in ("scheduler", "api-server", "worker")]
        return "\n".join(self.kubectl(*each, check=False).decode(errors="replace")[-6000:] for each in parts)

    def _secrets(self) -> dict[str, dict[str, str]]:
        """The Secrets of deploy/kubernetes, as docs/q07.md lists them."""
        broker = f"redis://:{self.secrets['REDIS_PASSWORD']}@redis.{SERVICES}:6379"
        workers = f"redis://worker:{self.secrets['WORKER_BROKER_PASSWORD']}@redis.{SERVICES}:6379"
        database = f"airflow:{self.secrets['POSTGRES_PASSWORD']}@postgres.{SERVICES}/airflow"
        clickhouse = {"conn_type": "clickhouse", "host": f"clickhouse.{SERVICES}", "port": 8123, "login": "answers"}
        spark = {"conn_type": "spark", "host": "local[*]"}
        return {
            "airflow-database": {
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
                "AIRFLOW__CORE__FERNET_KEY": self.secrets["FERNET_KEY"],
            },
            "airflow-tokens": {"AIRFLOW__API_AUTH__JWT_SECRET": self.secrets["JWT_SECRET"]},
            "airflow-sessions": {"AIRFLOW__API__SECRET_KEY": self.secrets["API_SECRET_KEY"]},
            "airflow-broker": {
                "AIRFLOW__CELERY__BROKER_URL": f"{broker}/0",
                "AIRFLOW__CELERY__RESULT_BACKEND": f"{broker}/1",
            },
            "airflow-worker-broker": {
                "AIRFLOW__CELERY__BROKER_URL": f"{workers}/0",
                "AIRFLOW__CELERY__RESULT_BACKEND": f"{workers}/1",
            },
            "airflow-connections": {
                "AIRFLOW_CONN_CLICKHOUSE_DEFAULT": json.dumps(
                    clickhouse | {"password": self.secrets["CLICKHOUSE_PASSWORD"]}
                ),
                "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(spark),
                "AIRFLOW_CONN_Q06_PARTNER": json.dumps(
                    {"conn_type": "http", "password": self.secrets["PARTNER_SECRET"]}
                ),
                "AIRFLOW_VAR_Q06_PSEUDONYM_SECRET": self.secrets["PSEUDONYM_SECRET"],
            },
            "airflow-admin": {"ADMIN_PASSWORD": self.secrets["ADMIN_PASSWORD"]},
        }

    def _secret(self, name: str, values: dict[str, str], namespace: str = NAMESPACE) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        self.kubectl("apply", "--filename", "-", namespace=namespace, given=json.dumps(secret))

    def _apply(self, file: str) -> None:
        text = (MANIFESTS / file).read_text()
        assert RELEASED in text
        self.kubectl("apply", "--filename", "-", given=text.replace(RELEASED, f"{IMAGE}:{OLD}"))

    def _volumes(self) -> None:
        """The claims of storage.yaml, bound to folders of this machine, which is the node."""
        for claim in yaml.safe_load_all((MANIFESTS / "storage.yaml").read_text()):
            name = claim["metadata"]["name"]
            folder = self.folder / name
            folder.mkdir()
            folder.chmod(0o777)  # the containers' user is another one
            volume = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name.replace("airflow", NAMESPACE, 1)},
                "spec": {
                    "accessModes": claim["spec"]["accessModes"],
                    "capacity": claim["spec"]["resources"]["requests"],
                    "claimRef": {"namespace": NAMESPACE, "name": name},
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": "",
                    "hostPath": {"path": str(folder)},
                },
            }
            claim["spec"]["storageClassName"] = ""
            self.kubectl(
                "apply",
                "--filename",
                "-",
                given=json.dumps({"apiVersion": "v1", "kind": "List", "items": [volume, claim]}),
            )
        shutil.copytree(HERE / "dags", self.folder / "airflow-data/tried")
        shutil.copytree(PROJECT / "tests/attack", self.folder / "airflow-data/attacking")

    # -- Airflow and the warehouse

    @cached_property
    def airflow(self) -> Airflow:
        """The REST API, through a port on loopback that kubectl forwards."""
        command = ["kubectl", "--namespace", NAMESPACE, "port-forward", "service/airflow-api-server", ":8080"]
        self._forward = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self._forward.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line
        return Airflow(f"http://127.0.0.1:{found[1]}", self.secrets["ADMIN_PASSWORD"])

    def hang_up(self) -> None:
        """Forward no port any more: it leads to one pod, so after that pod's end `airflow` needs another."""
        if self._forward:
            self._forward.kill()
            self._forward.wait()
            self._forward = None
        vars(self).pop("airflow", None)

    def start(self, dag_id: str, run_id: str) -> str:
        """Start a run without a date."""
        assert self.airflow.trigger(dag_id, run_id)
        return run_id

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict]:
        """The task instances of a run by task."""
        found = self.airflow.task_instances(dag_id, run_id)
        return {each["task_id"]: each for each in found}

    def events(self, dag_id: str, run_id: str) -> list[str]:
        """Return what Airflow's event log has of a run: "event: text" each."""
        found = self.airflow.pages(f"/eventLogs?dag_id={dag_id}", "event_logs")
        return [f"{each['event']}: {each['extra']}" for each in found if each["run_id"] == run_id]

    def task_pod(self, dag_id: str, task_id: str, run_id: str, patience: float = 120) -> dict:
        """The pod of a task, once it runs; a run that has ended without is an error."""

        def running() -> dict | None:
            for pod in self.pods(kubernetes_executor="True", dag_id=dag_id, task_id=task_id):
                if pod["metadata"]["annotations"]["run_id"] == run_id and pod["status"]["phase"] == "Running":
                    return pod
            run = self.airflow.run(dag_id, run_id)
            assert not run.done, f"{run_id} is {run.state}: {run.tasks}"
            return None

        return wait_for(f"a pod of {task_id} to run", running, patience, pause=0.5)

    def sql(self, query: str) -> pd.DataFrame:
        """The result of a query, with its types, asked inside the warehouse's pod."""
        client = ("exec", "clickhouse", "--", "clickhouse-client", "--query", f"{query} FORMAT Parquet")
        return pd.read_parquet(io.BytesIO(self.kubectl(*client, namespace=SERVICES)))
