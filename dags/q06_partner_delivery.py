"""Q6 · A signed delivery: secrets from SSM Parameter Store reach Python, Bash and Spark, and no log, page or process list.

Look at: there is no secret in this file, and none is looked up while it is parsed. `secrets=` names where each comes from;
the operator puts it into its program's environment when the task runs. `note` is anybody's text: it reaches Bash as data.
Reads planes.csv of the feed; produces data_root/q06/RUN/{planes,manifest.txt} and a POST to the partner.
"""

import sys
from pathlib import Path

from airflow.sdk import DAG, Param, task

from include.flights.spark import EXECUTOR, SMALL_JOB
from include.questions import doc_md
from plugins.failures import RETRY_POLICY
from plugins.secret_environment import SecretBashOperator, SecretSparkSubmitOperator

PROJECT = Path(__file__).resolve().parents[1]

with DAG(
    dag_id="q06_partner_delivery",
    description="The planes under pseudonyms for a partner, with a signed manifest",
    schedule=None,
    catchup=False,
    # On a worker of their own, the only one that may read these secrets; on Kubernetes, in pods of their own.
    default_args={"owner": "data-platform", "queue": "partner", "executor": EXECUTOR, "retry_policy": RETRY_POLICY},
    params={"note": Param("", type="string", maxLength=1000, description="Goes into the manifest as it is")},
    tags=["q06", "secrets", "spark"],
    doc_md=doc_md("q06"),
) as dag:

    @task
    def prepare(data_root: str, run_id=None) -> str:
        """Make the run's folder."""
        folder = Path(data_root) / "q06" / run_id
        (folder / "events").mkdir(parents=True, exist_ok=True)
        return str(folder)

    folder = prepare("{{ var.value.data_root }}")

    pseudonymise = SecretSparkSubmitOperator(
        task_id="pseudonymise",
        secrets={"PSEUDONYM_SECRET": "variables/q06_pseudonym_secret"},
        application=str(PROJECT / "include/partner/pseudonymise.py"),
        application_args=["{{ var.value.flights_feed }}/planes.csv", folder],
        name="{{ dag.dag_id }}",
        # The event log is what Spark's history server shows, properties and plans included.
        conf={
            **SMALL_JOB,
            "spark.eventLog.enabled": "true",
            "spark.eventLog.compress": "false",
            "spark.eventLog.dir": "file://{{ ti.xcom_pull('prepare') }}/events",
        },
        durable=False,
        pool="spark",
    )

    sign = SecretBashOperator(
        task_id="sign",
        secrets={"PARTNER_SECRET": "connections/q06_partner"},
        bash_command='bash include/partner/sign_manifest.sh "$FOLDER"',
        env={"FOLDER": folder, "NOTE": "{{ params.note }}", "PYTHON": sys.executable},  # as data, never in the command
        cwd=str(PROJECT),
    )

    @task
    def deliver(folder: str, signature: str) -> str:
        """Hand the manifest to the partner; the secret only checks first that its signature will be accepted."""
        from airflow.sdk import Connection

        from include.partner import delivery
        from plugins.webhook import poster

        partner = Connection.get("q06_partner")
        return delivery.deliver_manifest(Path(folder), signature, partner.password, poster(partner))["signature"]

    pseudonymise >> sign >> deliver(folder, sign.output)
