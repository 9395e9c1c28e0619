"""Signs a delivery with a secret, rotates the secret, signs again, and looks for both secrets everywhere (question 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import psutil

from answers.stack import dotenv, parts
from answers.stack.parameters.client import Parameters
from include.partner.signature import sign_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from answers.demo import Demo


def play_part(demo: Demo) -> None:
    """Deliver with a hostile note, rotate the partner's secret, sign and deliver again, and look for the secrets."""
    airflow, settings = demo.airflow, demo.settings
    dag_id = airflow.find_dag("q06")
    store = Parameters(settings.parameter_store, settings.secrets["PARAMETER_WRITE_SECRET"])
    mark = settings.home / "touched-by-a-note"
    note = f"$(touch {mark}) `touch {mark}` {{{{ conn.q06_partner.password }}}}"
    first, second = dotenv.password(), dotenv.password()
    store.rotate("q06_partner", first)
    before = _requests(demo)
    run_id = airflow.start(dag_id, demo.days[0], {"note": note})
    demo.finish(dag_id, [run_id])
    asked = {
        name: count - before.get(name, 0) for name, count in _requests(demo).items() if count > before.get(name, 0)
    }
    messages = [demo.messages("/partner")[-1]]
    store.rotate("q06_partner", second)
    airflow.clear(dag_id, run_id, ["sign", "deliver"])
    demo.finish(dag_id, [run_id])
    messages.append(demo.messages("/partner")[-1])
    fits = [
        sign_manifest(each["manifest"].encode(), secret) == each["signature"]
        for each, secret in zip(messages, (first, second), strict=True)
    ]
    searched, found = _search_folders((settings.home / "logs", settings.home / "data" / "q06"), (first, second))
    with_connections = [
        part for part, names in _environments(demo).items() if any("AIRFLOW_CONN_" in name for name in names)
    ]
    untouched = not mark.exists() and note in messages[0]["manifest"]
    reads = ", ".join(
        f"{name.rsplit('/', 1)[1]} {count}" for name, count in sorted(asked.items()) if name.startswith("Get")
    )
    demo.evidence(
        "q06",
        {
            "6.1": f"{len(store.names())} parameters, all SecureString; parts with a connection in their environment: "
            f"{', '.join(with_connections) or 'none'}",
            "6.3": f"{searched} files searched for two secrets: {found} hits; the note arrived as it was"
            f"{'' if untouched else ', AND WAS RUN'}",
            "6.4": f"signed with the first secret: {fits[0]}; after the rotation with the second: {fits[1]}",
            "6.5": f"reads of the store by the first run: {reads}",
        },
    )


def _requests(demo: Demo) -> dict[str, int]:
    counts: dict[str, int] = httpx.get(f"{demo.settings.parameter_store}/requests", trust_env=False).json()
    return counts


def _search_folders(folders: tuple[Path, ...], secrets: tuple[str, ...]) -> tuple[int, int]:
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    contents = [file.read_bytes() for file in files]
    return len(files), sum(secret.encode() in text for text in contents for secret in secrets)


def _environments(demo: Demo) -> dict[str, set[str]]:
    """Return the names in the environment of each part."""
    pids = {part["part"]: part["pid"] for part in parts.status(demo.settings) if part["pid"]}
    return {part: set(psutil.Process(pid).environ()) for part, pid in pids.items()}
