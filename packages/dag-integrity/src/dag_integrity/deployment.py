"""Reads how the deployment is configured: the environment, env-file, and the airflow.cfg that belongs to the DAGs folder."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

from dag_integrity import discovery
from dag_integrity.config import Config
from dag_integrity.launch import LEFT_OUT

OWN = (
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__PLUGINS_FOLDER",
    "AIRFLOW__CORE__EXECUTOR",
    "AIRFLOW__CORE__FERNET_KEY",
)


def settings(config: Config, base: Path, asked: Path) -> dict[str, str]:
    """Return what is configured beyond the environment, as variables of the environment.

    Airflow lets a variable win over airflow.cfg; so does env-file.

    :param base: the folder that env-file counts from
    :param asked: the first path that is checked
    :raises ConfigError: env-file cannot be read
    """
    given = config.environment(base)
    around = {**os.environ, **given}
    in_file = {} if (file := _airflow_cfg(around, asked)) is None else _variables(file)
    return {**{name: value for name, value in in_file.items() if name not in around}, **given}


def _airflow_cfg(around: dict[str, str], asked: Path) -> Path | None:
    """Return the airflow.cfg that is named, that of AIRFLOW_HOME, or the one beside the DAGs folder."""
    home = discovery.home_of(discovery.dags_folder(asked))
    named = [
        around.get("AIRFLOW_CONFIG", ""),
        around.get("AIRFLOW_HOME", "") and f"{around['AIRFLOW_HOME']}/airflow.cfg",
    ]
    files = [Path(each) for each in named if each] + [home / "airflow.cfg"]
    return next((file for file in files if file.is_file()), None)


def _variables(file: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}  # Airflow could not read it either
    found = {
        f"AIRFLOW__{section.upper().replace('.', '_')}__{key.upper()}": value.replace("%%", "%")
        for section in parser.sections() for key, value in parser.items(section) if value
    }  # fmt: skip
    return {name: value for name, value in found.items()
            if not name.startswith((*LEFT_OUT, *OWN)) and not name.endswith(("_CMD", "_SECRET"))}  # fmt: skip
