"""Tells how the parts of the embedded stack are, by the word of supervisor and of Airflow, and waits for them."""

from __future__ import annotations

import functools
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any

import httpx

from answers.stack.processes import memory, supervisor_process
from answers.stack.settings import Settings
from include.waiting import wait_until

AIRFLOW_PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
PARTS = ("postgres", "parameter-store", "warehouse", "catcher", *AIRFLOW_PARTS)
ON_DEMAND = ("kafka", "kafka-relay")  # shown only while somebody wants them
ANSWER_WITHIN = 30  # seconds for one answer on loopback: no machine needs them, and a part that hangs is noticed
Say = Callable[[str], None]


class StackError(RuntimeError):
    """Tells that the stack could not be started or reached. The text says what to do."""


@functools.cache
def loopback() -> httpx.Client:
    """Return the HTTP client for this machine's own parts. One for all: a new one reads all certificates, 40 ms of CPU a look."""
    once = httpx.Limits(max_keepalive_connections=0)  # a part that is restarted is a new one
    return httpx.Client(timeout=ANSWER_WITHIN, trust_env=False, limits=once)


def parts_of(settings: Settings) -> tuple[str, ...]:
    """Return the parts that the stack always has: without a warehouse where another ClickHouse is one."""
    return tuple(part for part in PARTS if part != "warehouse" or settings.clickhouse is None)


def supervisor(settings: Settings) -> Any:
    """Return supervisor's XML-RPC interface. Its calls raise OSError when no supervisor runs."""
    address = f"http://answers:{settings.secrets['SUPERVISOR_PASSWORD']}@127.0.0.1:{settings.ports['supervisor']}/RPC2"
    return xmlrpc.client.ServerProxy(address).supervisor


def states_of(rpc: Any) -> dict[str, str]:
    """Return supervisor's word on each of its programs."""
    return {name: info["statename"] for name, info in _records(rpc).items()}


def _records(rpc: Any) -> dict[str, dict[str, Any]]:
    return {info["name"]: info for info in rpc.getAllProcessInfo()}


def supervisor_state(settings: Settings, part: str) -> str | None:
    """Return supervisor's word on one of its programs. It is None when no supervisor runs, UNKNOWN when it is too busy to say."""
    if supervisor_process(settings) is None:
        return None
    known = _programs(settings)
    return known.get(part, {}).get("statename") if known else "UNKNOWN"


def _programs(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return supervisor's records of its programs, by name; none when it does not run or is too busy to say."""
    try:
        return _records(supervisor(settings))
    except (OSError, HTTPException, xmlrpc.client.Error):
        return {}


def status(settings: Settings) -> list[dict[str, Any]]:
    """Return one record a part: name, state (supervisor's word), pid, uptime in seconds, memory in bytes (with children)."""
    running = supervisor_process(settings)
    known = _programs(settings) if running else {}
    records = []
    wanted = [part for part in ON_DEMAND if known.get(part, {}).get("statename", "STOPPED") != "STOPPED"]
    for part in (*parts_of(settings), *wanted):
        info = known.get(part, {})
        up = info.get("statename") == "RUNNING"
        records.append(
            {
                "part": part,
                "state": info.get(
                    "statename", "UNKNOWN" if running else "STOPPED"
                ),  # supervisor may be too busy to say
                "pid": info["pid"] if up else None,
                "uptime": info["now"] - info["start"] if up else None,
                "memory": memory(info["pid"]) if up else None,
            }
        )
    return records


def health(settings: Settings) -> dict[str, str]:
    """Return Airflow's own word on its parts, and the warehouse's: part -> "healthy" or why not."""
    whose = "" if settings.clickhouse is None else " from {}:{} (ANSWERS_CLICKHOUSE)".format(*settings.clickhouse)
    warehouse = {"warehouse": "healthy" if warehouse_answers(settings) else f"no answer{whose}"}
    try:
        answer = loopback().get(f"{settings.url}/api/v2/monitor/health").json()
        return {part: report.get("status") or "not started" for part, report in answer.items()} | warehouse
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return {"api-server": f"no answer ({type(error).__name__})"} | warehouse


def warehouse_answers(settings: Settings) -> bool:
    """Tell whether the warehouse answers: the embedded one, or the ClickHouse in its place."""
    host, port = settings.clickhouse or ("127.0.0.1", settings.ports.get("warehouse"))
    return is_served(f"http://{host}:{port}/ping")


def is_served(url: str) -> bool:
    """Tell whether a GET of a part's address succeeds."""
    try:
        return loopback().get(url).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def healthy(settings: Settings) -> bool:
    """Tell whether every part of Airflow says that it is healthy, and the warehouse."""
    return all_healthy(health(settings))


def all_healthy(parts: Mapping[str, str]) -> bool:
    """Tell whether what `health` returned is good news."""
    wanted = ("metadatabase", "scheduler", "triggerer", "dag_processor", "warehouse")
    return all(parts.get(part) == "healthy" for part in wanted)


def overall_state(parts: Sequence[Mapping[str, Any]], work: str | None, healthy: bool) -> str:
    """Tell how the stack is as a whole.

    :param parts: as `status` returns them
    :param work: as `work_under_way` returns it
    :param healthy: whether Airflow says that its parts are
    :returns: not running, starting, stopping, incomplete (a part has ended or failed), not healthy, or running
    """
    states = {part["state"] for part in parts}
    if work:
        return work
    if states == {"STOPPED"}:
        return "not running"
    if states & {"STARTING", "BACKOFF"}:
        return "starting"
    if states != {"RUNNING"}:
        return "incomplete"
    return "running" if healthy else "not healthy"


def log_tail(settings: Settings, part: str, lines: int = 20) -> str:
    """Return the last lines of a part's log."""
    try:
        return "\n".join((settings.home / "logs" / f"{part}.log").read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def wait_for(what: str, ready: Callable[[], bool], settings: Settings, patience: float, say: Say) -> None:
    """Wait until `ready`.

    :raises StackError: a part keeps failing, or the time is up
    """

    def look() -> bool:
        if ready():
            return True
        for part, info in _programs(settings).items():  # `status` adds up memory, which is dear
            if info["statename"] == "FATAL" and part in (*PARTS, *ON_DEMAND):
                raise StackError(f"{part} keeps failing ({settings.home / 'logs'})\n{log_tail(settings, part)}".strip())
        return False

    def detail() -> str:
        states = ", ".join(f"{name}: {state}" for name, state in health(settings).items())
        return f"({settings.home / 'logs'}) {states}\n{log_tail(settings, what)}"

    wait_until(look, patience, what, say=say, detail=detail, error=StackError)
