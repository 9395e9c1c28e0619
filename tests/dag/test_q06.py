"""Question 6: one whole run in this process with two canaries and a hostile note, then the hunt; and parsing."""

import hmac
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from include.flights.feed import default_feed
from support import HOME, PROJECT, catching
from support.canary import ATTACK, CANARY, leaking_files, leaks
from support.parameter_stores import Misbehaving, running_store

FILE = "q06_partner_delivery"
PARTNER, PSEUDONYM = CANARY.format("p"), CANARY.format("s")


@pytest.fixture(scope="module")
def delivery(dag_of, tmp_path_factory):
    """A finished run: its state, folder, output, the request that the partner got, and what the store was asked."""
    from airflow.sdk.configuration import clear_secrets_backends_cache

    folder = tmp_path_factory.mktemp("q06")
    printed = folder / "printed"
    with (
        pytest.MonkeyPatch.context() as patch,
        running_store(folder / "home") as store,
        catching(folder / "partner") as partner,
    ):
        connection = {"conn_type": "http", "host": "127.0.0.1", "port": partner.server_port, "password": PARTNER}
        store.writer.put("/answers/connections/q06_partner", json.dumps(connection))
        store.writer.rotate("q06_pseudonym_secret", PSEUDONYM)
        for name, value in store.settings().items():
            patch.setenv(name, value)
        patch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "INFO")
        patch.setenv("AIRFLOW_VAR_DATA_ROOT", str(folder / "data"))
        clear_secrets_backends_cache()
        (folder / "marks").mkdir()
        note = ATTACK.format(folder / "marks")
        before = store.asked()
        # In a process of its own, whose output is all that a log would have.
        code = (
            "import sys; from airflow.dag_processing.dagbag import DagBag; "
            f"(dag,) = DagBag(dag_folder={str(PROJECT / 'dags' / f'{FILE}.py')!r}).dags.values(); "
            "run = dag.test(run_conf={'note': sys.argv[1]}); print('state:', run.state, 'id:', run.run_id)"
        )
        with printed.open("wb") as out:
            subprocess.run([sys.executable, "-c", code, note], cwd=PROJECT, stdout=out, stderr=out, check=True)
        asked = {name: count - before.get(name, 0) for name, count in store.asked().items()}
        yield SimpleNamespace(
            folder=folder,
            note=note,
            printed=printed.read_bytes(),
            run=next((folder / "data" / "q06").iterdir()),
            messages=partner.received("/partner"),
            asked={name.removeprefix("GetParameter "): count for name, count in asked.items() if count},
        )
    clear_secrets_backends_cache()


@pytest.mark.claim("6.1")
@pytest.mark.claim("6.3")
def test_python_bash_and_spark_used_the_secrets(delivery):
    """The partner can verify the signature, and the pseudonyms are those of an independent computation."""
    assert b"state: success" in delivery.printed
    (message,) = delivery.messages
    manifest = message["body"]["manifest"].encode()
    assert message["body"]["signature"] == hmac.new(PARTNER.encode(), manifest, "sha256").hexdigest()
    (file,) = (delivery.run / "planes").glob("*.csv")
    delivered = pd.read_csv(file)
    planes = pd.read_csv(default_feed() / "planes.csv")
    wanted = [hmac.new(PSEUDONYM.encode(), tail.encode(), "sha256").hexdigest()[:16] for tail in planes["tailnum"]]
    assert sorted(delivered["plane"]) == sorted(wanted)
    assert len(wanted) == len(set(wanted)) == 3322


@pytest.mark.claim("6.3")
def test_the_secrets_are_nowhere_else(delivery):
    assert leaks(delivery.printed, PARTNER, PSEUDONYM) == []
    assert b"include/partner/sign_manifest.sh" in delivery.printed, "the log was searched"
    for folder, least in ((delivery.run, 3), (delivery.folder / "partner", 1)):
        found, searched = leaking_files(folder, PARTNER, PSEUDONYM)
        assert found == {}
        assert searched >= least
    for file in HOME.glob("airflow.db*"):  # and its write-ahead log
        assert leaks(file.read_bytes(), PARTNER, PSEUDONYM) == []
    (log,) = (delivery.run / "events").rglob("events_*")
    assert b"SparkListenerEnvironmentUpdate" in log.read_bytes(), "Spark's properties were searched"


@pytest.mark.claim("6.3")
def test_a_strangers_text_reaches_bash_as_data(delivery):
    assert list((delivery.folder / "marks").iterdir()) == []
    manifest = (delivery.run / "manifest.txt").read_text()
    assert manifest.partition("\nnote: ")[2] == delivery.note + "\n", "as it came, nothing expanded, nothing lost"


@pytest.mark.claim("6.5")
def test_each_task_asks_for_what_it_uses_once(delivery):
    names = {"q06_pseudonym_secret": 1, "q06_partner": 2}  # used by pseudonymise; by sign and by deliver
    asked = {path.rsplit("/", 1)[1]: count for path, count in delivery.asked.items()}
    assert {name: asked.get(name) for name in names} == names
    assert asked.keys() <= names.keys() | {"spark_default"}


@pytest.mark.claim("6.5")
def test_parsing_every_dag_file_asks_the_store_nothing(metadata_database):
    store = Misbehaving()
    store.document = {"Parameter": {"Value": "x"}}
    code = (
        "from pathlib import Path; from airflow.dag_processing.dagbag import BundleDagBag; "
        "bag = BundleDagBag('dags', bundle_path=Path('dags'), bundle_name='dags'); "
        "assert not bag.import_errors, bag.import_errors; print(len(bag.dags)); "
        "from airflow.sdk import Variable; Variable.get('q06_pseudonym_secret')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=os.environ | store.settings, capture_output=True, text=True
    )
    store.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 50
    assert store.asked == ["/answers/variables/q06_pseudonym_secret"], (
        "the one after parsing, which shows that it counts"
    )


@pytest.mark.claim("6.3")
def test_what_the_dag_tells_airflow_names_no_secret(dag_of):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = dag_of(FILE)
    fields = {task.task_id: task.template_fields for task in dag.tasks}
    assert not any("secrets" in names for names in fields.values())
    text = json.dumps(DagSerialization.to_dict(dag), default=str)
    assert "PARTNER_SECRET" not in text.replace(dag.doc_md or "", "")
