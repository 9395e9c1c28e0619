"""What all tests share: a scratch home, a metadata database, one Spark session, one embedded warehouse, doctored feeds."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from support import BROUGHT_UP, HOME, PROJECT, copy_database, open_warehouse

# With `-n 2`, in this order: the live stack's longest files, one after the other in one process; all that needs no stack; and
# the stack's other files, by whichever process is free, on the stack that it has or on one of its own.
LONGEST = ("test_fleet_stack", "test_q01_stack", "test_q02_monitoring_stack", "test_q02_stack", "test_q03_stack")
# Where files share what takes long to start, they share a process.
SHARED = re.compile(r"\bdef \w+\([^)]*\b(spark|kafka)\b")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Group the tests by file, or by what their files share."""
    from xdist.scheduler import LoadScopeScheduling

    @cache
    def scope(file: str) -> str:
        if "tests/stack/" in file:
            return "stack" if Path(file).stem in LONGEST else file
        shared = SHARED.search((config.rootpath / file).read_text())
        return shared[1] if shared else file

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid.partition("::")[0])

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """In a process of xdist's, bring the tests into the order that the scheduler hands them out in."""
    if hasattr(config, "workerinput"):
        rank = {True: 0, False: 2}
        items.sort(key=lambda item: rank[item.path.stem in LONGEST] if "tests/stack/" in item.nodeid else 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the state of what its tier shares with the first test that fails; later ones would repeat it."""
    report = yield
    up = item.config.stash.get(BROUGHT_UP, {})
    for tier in [tier for tier in up if report.failed and item.get_closest_marker(tier)]:
        report.sections.append((tier, up.pop(tier).report()))
    return report


def pytest_sessionfinish() -> None:
    """Leave nothing behind."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def metadata_database() -> None:
    """A migrated SQLite database for dag.test(); the empty one is made once a machine, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-answers"
    template = cache / f"airflow-{version('apache-airflow')}.db"
    target = HOME / "airflow.db"
    if template.exists():
        shutil.copy(template, target)
    else:
        code = "from airflow.utils import db; db.upgradedb()"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f"{template.name}.{os.getpid()}"
        copy_database(target, part)
        part.replace(template)
    subprocess.run([sys.executable, "-m", "answers.stack.bootstrap"], check=True, capture_output=True, cwd=PROJECT)


@pytest.fixture(scope="session")
def spark():
    """One local Spark session."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "1").config("spark.log.level", "ERROR").getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def warehouse() -> Iterator[object]:
    """A client of the embedded warehouse, emptied. A process can hold one engine: all tests of a session share it."""
    with open_warehouse() as client:
        client.command("DROP DATABASE IF EXISTS warehouse SYNC")
        client.command("DROP DATABASE IF EXISTS warehouse_history SYNC")
        yield client


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory):
    """A Kafka broker, started once a session."""
    from support.kafka_broker import Broker

    broker = Broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.kill()


@pytest.fixture
def kafka(kafka_broker, monkeypatch):
    """The broker with the project's topics, empty, and the connection `kafka_default` that leads there."""
    if kafka_broker.process.poll() is not None:
        kafka_broker.start()
    kafka_broker.forget()
    connection = {"conn_type": "kafka", "extra": kafka_broker.options}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps(connection))
    return kafka_broker


@pytest.fixture
def make_feed(tmp_path: Path) -> Callable[..., Path]:
    """Make a feed of one day's real files with some of them changed: make_feed("2013-06-13", flights=lambda text: ...).

    A change maps the file's text to text, to bytes written as they are, or to None: no such file.
    """
    from include.flights.feed import default_feed

    def make(day: str = "2013-06-13", suffix: str = ".csv", **changes: Callable) -> Path:
        folder = tmp_path / f"feed{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        year, month, dom = (int(part) for part in day.split("-"))
        with zipfile.ZipFile(default_feed() / "flights.csv.zip") as archive:
            lines = archive.read("flights.csv").decode().splitlines(keepends=True)
        texts = {"flights": "".join(line for line in lines if line.startswith((f"{year},{month},{dom},", "year")))}
        for other in ("weather", "planes", "airports"):
            texts[other] = (default_feed() / f"{other}.csv").read_text()
        for file, text in texts.items():
            content = changes[file](text) if file in changes else text
            if content is None:
                continue
            if isinstance(content, str):
                content = content.encode()
                if suffix == ".csv.gz":
                    content = gzip.compress(content)
            (folder / f"{file}{suffix}").write_bytes(content)
        return folder

    return make
