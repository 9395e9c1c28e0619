"""Settles where the embedded stack lives, its ports and secrets, and the environment that its parts run with.

Everything is kept below one folder, `.airflow` in the project or ANSWERS_HOME: secrets.env (0600), ports.json, the
PostgreSQL data, the embedded warehouse, the landed files and the logs. Removing it resets the stack.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from answers.stack import bundles, dotenv
from answers.stack.java import find_java
from answers.stack.parameters import contents, names
from answers.stack.ports import claim_ports
from include.files import write_atomically

PROJECT = Path(__file__).resolve().parents[2]
SECRETS = (
    "ADMIN_PASSWORD",
    "CLICKHOUSE_PASSWORD",
    "FERNET_KEY",
    "JWT_SECRET",
    "API_SECRET_KEY",
    "POSTGRES_PASSWORD",
    "SUPERVISOR_PASSWORD",
    "PARAMETER_READ_SECRET",
    "PARAMETER_WORKER_SECRET",
    "PARAMETER_WRITE_SECRET",
    "PARTNER_SECRET",
    "PSEUDONYM_SECRET",
)
CLICKHOUSE = "clickhouse.address"  # file: see Settings.clickhouse
PORTS = {
    "api": 8080,
    "postgres": 5433,
    "supervisor": 9011,
    "catcher": 9080,
    "parameters": 9082,
    "mail": 9025,
    "warehouse": 8123,
    "kafka": 9092,
    "kafka_controller": 9093,
}  # preferred; ANSWERS_API_PORT and so on override


@dataclass(frozen=True)
class Settings:
    """The embedded stack's settings. `ports` is empty until the first `answers up`."""

    home: Path
    secrets: dict[str, str]
    ports: dict[str, int]

    @classmethod
    def load(cls) -> Settings:
        """Read the settings; makes folder and secrets where they are missing."""
        home = Path(os.environ.get("ANSWERS_HOME") or PROJECT / ".airflow").absolute()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        secrets = home / "secrets.env"
        dotenv.complete(secrets, {key: dotenv.KEYS.get(key, dotenv.password) for key in SECRETS})
        try:
            ports = json.loads((home / "ports.json").read_text())
        except (FileNotFoundError, ValueError):
            ports = {}
        return cls(home, dotenv.read(secrets), ports)

    def with_ports(self) -> tuple[Settings, list[str]]:
        """Return these settings with a free port for every part, and a line for each that could not have its usual one.

        :raises ValueError: a port asked for by the environment is no port
        """
        notes: list[str] = []

        def choose(others: set[int]) -> dict[str, int]:
            found: dict[str, int] = {}
            for part, usual in PORTS.items():
                asked = os.environ.get(f"ANSWERS_{part.upper()}_PORT")
                if asked is not None and not (asked.isdigit() and 0 < int(asked) < 65536):
                    raise ValueError(f"ANSWERS_{part.upper()}_PORT={asked!r} is not a port (1 to 65535)")
                wanted = int(asked or self.ports.get(part, usual))
                found[part] = dotenv.free_port(wanted, avoid=(*others, *found.values()))
                if found[part] != wanted:
                    notes.append(f"port {wanted} is taken: {part} listens on {found[part]} instead")
            return found

        ports = claim_ports(self.home, choose)
        write_atomically(self.home / "ports.json", json.dumps(ports))
        return Settings(self.home, self.secrets, ports), notes

    @property
    def url(self) -> str:
        """Return the address of the user interface and REST API."""
        return f"http://127.0.0.1:{self.ports['api']}"

    @property
    def warehouse(self) -> Path:
        """Return the folder of the embedded warehouse's data."""
        return self.home / "warehouse"

    @property
    def clickhouse(self) -> tuple[str, int] | None:
        """Return host and port of the ClickHouse that is the warehouse in the embedded one's place, if there is one.

        ANSWERS_CLICKHOUSE names it, or did when the stack was started. Its user is `answers`, with CLICKHOUSE_PASSWORD of
        secrets.env.

        :raises ValueError: that is no HOST:PORT
        """
        noted = self.home / CLICKHOUSE
        address = os.environ.get("ANSWERS_CLICKHOUSE") or (noted.read_text().strip() if noted.exists() else "")
        host, _, port = address.rpartition(":")
        if address and not (host and port.isdigit()):
            raise ValueError(f"ANSWERS_CLICKHOUSE={address!r}: give HOST:PORT of ClickHouse's HTTP interface")
        return (host, int(port)) if address else None

    def note_clickhouse(self) -> None:
        """Note the ClickHouse that the environment names, or that it names none, for whoever looks without this environment."""
        write_atomically(self.home / CLICKHOUSE, os.environ.get("ANSWERS_CLICKHOUSE", ""))

    def database(self, name: str = "airflow", driver: str = "psycopg2") -> str:
        """Return the SQLAlchemy address of a database on the embedded server."""
        password, port = self.secrets["POSTGRES_PASSWORD"], self.ports["postgres"]
        return f"postgresql+{driver}://airflow:{password}@127.0.0.1:{port}/{name}"

    @property
    def parameter_store(self) -> str:
        """Return the address of the parameter store."""
        return f"http://127.0.0.1:{self.ports['parameters']}"

    def stored_connections(self) -> dict[str, dict[str, Any]]:
        """Return the connections by id, as the parameter store keeps them."""
        prefix = "AIRFLOW_CONN_"
        return {name.removeprefix(prefix).lower(): json.loads(each) for name, each in self.connections().items()}

    def parameters(self) -> dict[str, str]:
        """Return what the embedded stack's parameter store keeps, by path."""
        return contents.parameters(self.stored_connections(), self.secrets)

    def connections(self) -> dict[str, str]:
        """Return the embedded stack's Airflow connections as environment variables, for tests without a stack.

        The live stack has none of them in its environment; they are in its parameter store.
        """
        connections = {
            "CLICKHOUSE_DEFAULT": self._clickhouse(),
            "SPARK_DEFAULT": {"conn_type": "spark", "host": "local[*]"},
        }
        if port := self.ports.get("catcher"):  # where notifications go
            connections["OPS_WEBHOOK"] = {"conn_type": "http", "host": "127.0.0.1", "port": port}
            connections["Q06_PARTNER"] = contents.partner("127.0.0.1", port, self.secrets.get("PARTNER_SECRET", ""))
            connections["SLACK_DEFAULT"] = contents.slack("127.0.0.1", port)
        if port := self.ports.get("mail"):
            mail = {"host": "127.0.0.1", "port": port, "extra": contents.mail()}
            connections["SMTP_DEFAULT"] = {"conn_type": "smtp", **mail}
        if port := self.ports.get("kafka"):
            connections["KAFKA_DEFAULT"] = contents.kafka(f"127.0.0.1:{port}")
        return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()}

    def _clickhouse(self) -> dict[str, Any]:
        """Return the connection to the warehouse that is served, or where no stack was ever up, to its engine in the process."""
        host, port = self.clickhouse or ("127.0.0.1", self.ports.get("warehouse"))
        if port:
            return contents.clickhouse(host, port, self.secrets["CLICKHOUSE_PASSWORD"])
        chdb = {"client_kwargs": {"interface": "chdb", "path": str(self.warehouse)}}
        return {"conn_type": "clickhouse", "extra": chdb}

    def environment(self) -> dict[str, str]:
        """Return the environment of the stack's parts; AIRFLOW__ variables of the caller override it."""
        own = {
            **dotenv.read(PROJECT / "config" / "airflow.env"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",  # the pools below bound what takes memory
            "AIRFLOW__API__WORKERS": "1",
            # An edited DAG is live within seconds on two cores, too: one parser is enough.
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "ANSWERS_POOLS": "fleet=2,spark=2,warehouse=4",
        }
        if bundles.dags_source(self.home) == "git":
            own |= bundles.bundle_settings(bundles.repository_path(self.home), self.home / "bundles")
        own |= {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW__")}
        own |= self.core()
        if self.ports:
            own |= {
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database(),
                "AIRFLOW__API__BASE_URL": self.url,
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            }
            own |= names.airflow_settings(self.parameter_store, contents.READER, self.secrets["PARAMETER_READ_SECRET"])
            # Read from the file by each process that starts, so that a key can be rotated under a running supervisor.
            del own["AIRFLOW__CORE__FERNET_KEY"]
            own["AIRFLOW__CORE__FERNET_KEY_CMD"] = shlex.join(
                ["sed", "-n", "s/^FERNET_KEY=//p", str(self.home / "secrets.env")]
            )
            own |= {f"ANSWERS_{part.upper()}_PORT": str(port) for part, port in self.ports.items()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        return inherited | own

    def core(self) -> dict[str, str]:
        """Return what any Airflow process of this project needs, live stack or test."""
        logs = self.home / "logs"
        return {
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": os.environ.get("ANSWERS_PLUGINS", str(PROJECT / "plugins")),
            "AIRFLOW__CORE__FERNET_KEY": self.secrets["FERNET_KEY"],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__API__SECRET_KEY": self.secrets["API_SECRET_KEY"],
            "AIRFLOW__API_AUTH__JWT_SECRET": self.secrets["JWT_SECRET"],
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs / "tasks"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(logs / "dag-processor"),
            "AIRFLOW_VAR_DATA_ROOT": str(self.home / "data"),
            "ANSWERS_HOME": str(self.home),
            "ANSWERS_STACK": str(self.home),  # marks every process of this stack, see processes.stack_processes
            "ANSWERS_PYTHON": sys.executable,
            # Whether the parts that fork tasks and parsers import modules first, see config/airflow_local_settings.py.
            "ANSWERS_FORKS_PRELOAD": os.environ.get("ANSWERS_FORKS_PRELOAD", "1"),
            "ANSWERS_SUPERVISOR_PASSWORD": self.secrets["SUPERVISOR_PASSWORD"],
            "JAVA_HOME": str(find_java(self.home)),
            # The name of this machine may not resolve.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "config")]),
            "PYTHONUNBUFFERED": "1",
            # The parts talk over loopback, whatever proxy the machine uses for the rest.
            **{
                name: ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost"]))
                for name in ("NO_PROXY", "no_proxy")
            },
        }

    def write_passwords(self) -> None:
        """Give Airflow's simple auth manager the admin password, so that it neither makes nor prints one."""
        file = self.home / "passwords.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({"admin": self.secrets["ADMIN_PASSWORD"]}))
