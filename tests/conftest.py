"""Tells what all tests share: a scratch home, a metadata database, one Spark session, one embedded warehouse, doctored feeds."""

import gc
import gzip
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from include.files import user_cache
from include.waiting import patience
from support import BROUGHT_UP, HOME, PROJECT, copy_database, open_warehouse, prepare_environment
from support.time_plan import TimePlan

# Where files share what takes long to start, their tests share a process.
SHARED = ("spark", "kafka_broker")


def pytest_addoption(parser):
    """Add what .ci/run asks for."""
    parser.addoption("--time-plan", metavar="FILE", help="leave out, by name, what FILE says there is no time for")


def pytest_configure(config):
    """Prepare the environment before any test module is imported, and leave out what there is no time for."""
    prepare_environment()
    if file := config.getoption("--time-plan"):
        config.pluginmanager.register(TimePlan(Path(file)), "time-plan")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Group the tests by file, or by what their files share, for `--dist loadgroup`."""
    shared = {item.path: name for item in items for name in SHARED if name in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(shared.get(item.path, item.path.stem)))


def pytest_collection_finish(session):
    """Refuse to spread the tests of one file over processes: what they share would be started in each of them."""
    if getattr(session.config.option, "loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist ignores the groups of the tests: `make setup` installs versions that fit")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Give a test as much time until it counts as hung as this machine needs at present."""
    marked = item.get_closest_marker("timeout")
    seconds = marked.args[0] if marked else float(item.config.getini("timeout"))
    item.add_marker(pytest.mark.timeout(patience(seconds)), append=False)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the state of what its tier shares with the first test that fails; later ones would repeat it."""
    report = yield
    up = item.config.stash.get(BROUGHT_UP, {})
    for tier in [tier for tier in up if report.failed and item.get_closest_marker(tier)]:
        report.sections.append((tier, up.pop(tier).report()))
    return report


def pytest_sessionfinish() -> None:
    """Leave nothing behind. An engine of the warehouse that a test has left open would write to its folder once more."""
    if "chdb" in sys.modules:
        from chdb.state.sqlitelike import Connection

        for connection in [each for each in gc.get_objects() if type(each) is Connection]:
            connection.close()
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def metadata_database() -> None:
    """Make a migrated SQLite database for dag.test(); the empty one is made once a machine, in the user's cache."""
    cache = user_cache()
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
    copy_database(target, HOME / "fresh.db")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Give a home of its own to `answers`, where nothing was ever started."""
    from answers import console
    from answers.stack.settings import PORTS

    monkeypatch.setenv("ANSWERS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ports = [f"ANSWERS_{part.upper()}_PORT" for part in PORTS]
    for name in ("AIRFLOW_CONN_CLICKHOUSE_DEFAULT", "ANSWERS_API_URL", "ANSWERS_API_PASSWORD", *ports):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    for printer in (console.out, console.err):
        monkeypatch.setattr(printer, "_width", None)  # it was set if COLUMNS was there at the import
    return tmp_path / "home"


@pytest.fixture(scope="session")
def spark():
    """Give one local Spark session."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "1").config("spark.log.level", "ERROR").getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def warehouse() -> Iterator[object]:
    """Give a client of the embedded warehouse, emptied. A process can hold one engine: all tests of a session share it."""
    with open_warehouse() as client:
        client.command("DROP DATABASE IF EXISTS warehouse SYNC")
        client.command("DROP DATABASE IF EXISTS warehouse_history SYNC")
        yield client


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory):
    """Give a Kafka broker, started once a session."""
    from support.kafka_broker import Broker

    broker = Broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.kill()


@pytest.fixture
def kafka(kafka_broker, monkeypatch):
    """Give the broker with the project's topics, empty, and the connection `kafka_default` that leads there."""
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
