"""Makes the bare repository that Airflow takes its DAGs from, and the settings of the Git bundle on it.

Kept apart from Airflow, which reads the settings that are made here.
"""

from __future__ import annotations

import json
from pathlib import Path

from answers.stack.repository import Repository, RepositoryError
from include.files import write_atomically

NAME = "dags"
BRANCH = "deployed"
"""What Airflow follows. Only a deploy moves it."""
FIRST = "initial"
"""The tag of the commit that a new repository starts with."""


def bundle_settings(bare: Path, storage: Path) -> dict[str, str]:
    """Return Airflow's settings for a versioned bundle.

    :param bare: the repository
    :param storage: where each machine keeps its copies, one a commit in use
    """
    bundle = {
        "name": NAME,
        "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
        "kwargs": {"repo_url": str(bare), "tracking_ref": BRANCH, "subdir": "dags", "refresh_interval": 10},
    }
    return {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        # The default is below /tmp, which two stacks of a machine would share.
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(storage),
        # The bundle asks for it, for credentials. Where there is none, the question goes on to the metadata database and ends the
        # session in which the bundles of before are being disabled: they would stay.
        "AIRFLOW_CONN_GIT_DEFAULT": json.dumps({"conn_type": "git"}),
        "ANSWERS_PRELOAD_ALSO": "airflow.providers.git.bundles.git",
    }


def create_repository(bare: Path, project: Path) -> Repository:
    """Return the bare repository, made from the project's where there is none yet, deployed at the commit checked out there.

    :raises RepositoryError: the project is no Git repository, or has no commit
    """
    made = Repository(bare)
    if not bare.exists():
        part = bare.with_name(f"{bare.name}.part")
        Repository(part).create(project, BRANCH, FIRST)
        part.rename(bare)
    return made


def repository_path(home: Path) -> Path:
    """Return the bare repository of the embedded stack in `home`."""
    return home / "dags.git"


def dags_source(home: Path) -> str:
    """Return where the embedded stack in `home` has its DAGs from: "local" or "git"."""
    file = home / "dags-from"
    return file.read_text() if file.exists() else "local"


def choose_dags_source(home: Path, project: Path, wanted: str | None, running: bool) -> None:
    """Note where it has them from at its next start; makes the repository where it is needed and missing.

    :param wanted: as it was if None
    :raises RepositoryError: there is no such place, or the stack runs with another one, or `create` fails
    """
    now = dags_source(home)
    if wanted not in (None, "local", "git"):
        raise RepositoryError(f"--dags {wanted}: should be local or git")
    if running and wanted not in (None, now):
        raise RepositoryError(f"the stack runs with DAGs from {now}: `answers down` first")
    if (wanted or now) == "git":
        create_repository(repository_path(home), project)
    if wanted is not None:
        write_atomically(home / "dags-from", wanted)
