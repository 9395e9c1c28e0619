"""Calls the task, runs its trigger in a loop of its own, and restarts it, with real files and, once, another clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from answers.exercise.probe import Probe

DAG, TASK = "q10_canary", "wait_until_released"
LONGEST = 10.0  # seconds that a step waits for an event
FIRST_LOOK = 1.0  # seconds after which a trigger of this ticket has looked


def probe(p: Probe) -> None:
    """Record the deferral, what the trigger does, and how the task ends."""
    hold = p.home / "hold-this-run"
    hold.touch()
    folder = str(p.project / "dags")
    deferred = p.inside("held", execute, folder, str(hold)).get("value") or {}
    p.inside("no-name", execute, folder, "")
    p.inside("no-file", execute, folder, str(p.home / "never-there"))
    if not deferred.get("trigger"):
        return
    trigger = deferred["trigger"]
    event = p.inside("released", wait, trigger, str(hold), True).get("value") or {}
    p.inside("went-on", resume, folder, str(hold), deferred, event.get("event"))
    hold.touch()
    early = p.inside("hours-ago", execute, folder, str(hold), 7200).get("value") or {}
    if early.get("trigger"):
        late = p.inside("restarted", wait, early["trigger"], str(hold), False).get("value") or {}
        p.inside("ended", resume, folder, str(hold), early, late.get("event"))
    p.inside("slow-disk", blocked, trigger, str(hold))


def execute(folder: str, hold: str, seconds_ago: int = 0) -> dict[str, Any]:
    """Execute the task once, if asked with a clock of some time ago; say whether it deferred, and to what."""
    import contextlib
    from datetime import UTC, datetime, timedelta

    import time_machine
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
    from airflow.serialization.serialized_objects import BaseSerialization

    task, context = task_of(folder, hold)
    clock: Any = contextlib.nullcontext()
    if seconds_ago:
        clock = time_machine.travel(datetime.now(UTC) - timedelta(seconds=seconds_ago))
    timeout = getattr(task, "timeout", None)
    found: dict[str, Any] = {"trigger": None, "timeout": getattr(timeout, "total_seconds", lambda: timeout)()}
    with clock:
        try:
            task.execute(context)
            found["how"] = "ended, as if nothing held the run"
        except AirflowRescheduleException:
            found["how"] = "is rescheduled: the scheduler makes a new process for its next look"
        except TaskDeferred as left:
            path, arguments = left.trigger.serialize()
            limit = left.timeout
            found["trigger"] = [path, BaseSerialization.serialize(arguments)]
            found["method"] = left.method_name
            found["kwargs"] = BaseSerialization.serialize(left.kwargs or {})
            found["limit"] = limit.total_seconds() if limit else None
    return found


def task_of(folder: str, hold: str) -> tuple[Any, dict[str, Any]]:
    """Load the task, with its templates rendered for a run that is held by a file."""
    import sys
    from datetime import UTC, datetime
    from types import SimpleNamespace

    from airflow.dag_processing.dagbag import DagBag

    sys.path[:0] = [str(Path(folder).parent), folder]
    bag = DagBag(dag_folder=f"{folder}/q10_canary.py")
    if bag.import_errors:
        raise ImportError(next(iter(bag.import_errors.values())).strip().splitlines()[-1])
    dag = bag.dags[DAG]
    task = dag.get_task(TASK)
    about = {
        "task_id": TASK,
        "dag_id": DAG,
        "run_id": "probe",
        "try_number": 1,
        "max_tries": 0,
        "map_index": -1,
        "task": task,
    }
    ti = SimpleNamespace(**about, start_date=datetime.now(UTC), get_first_reschedule_date=lambda *_, **__: None)
    context = {"params": {"hold": hold}, "ti": ti, "task_instance": ti, "run_id": "probe", "dag": dag, "task": task}
    task.render_template_fields(context)
    return task, context


def made(trigger: list[Any]) -> Any:
    """Make a trigger as the triggerer does: by its path, from its arguments. DAG files are not on the path there."""
    import sys

    from airflow.sdk.module_loading import import_string
    from airflow.serialization.serialized_objects import BaseSerialization

    sys.path[:] = [path for path in sys.path if not path.rstrip("/").endswith("/dags")]
    path, arguments = trigger
    return import_string(path)(**BaseSerialization.deserialize(arguments))


def wait(trigger: list[Any], hold: str, release: bool) -> dict[str, Any]:
    """Run the trigger, made anew twice, until its event, or for some seconds. If asked, the file goes after the first look."""
    import asyncio

    from airflow.serialization.serialized_objects import BaseSerialization

    async def follow() -> dict[str, Any]:
        again = made(trigger)
        for _ in range(2):  # a restarted triggerer knows only what was stored
            path, arguments = again.serialize()
            again = made([path, BaseSerialization.serialize(arguments)])
        events = again.run()
        first = asyncio.ensure_future(anext(events))
        too_soon = False
        if release:
            await asyncio.wait([first], timeout=FIRST_LOOK)
            too_soon = first.done()
            Path(hold).unlink()
        await asyncio.wait([first], timeout=LONGEST)
        if not first.done():
            first.cancel()
            return {"event": None, "too_soon": too_soon}
        return {"event": {"payload": first.result().payload}, "too_soon": too_soon}

    return asyncio.run(follow())


def resume(folder: str, hold: str, deferred: dict[str, Any], event: dict[str, Any] | None) -> dict[str, Any]:
    """Go on with the task after the event; without one, as the scheduler does when the deferral's time is up."""
    from airflow.serialization.serialized_objects import BaseSerialization

    task, context = task_of(folder, hold)
    if event is None and deferred["limit"] is None:
        return {"error": None, "text": "", "how": "for ever"}
    try:
        if event is None:
            task.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        else:
            kwargs = BaseSerialization.deserialize(deferred["kwargs"]) | {"event": event["payload"]}
            task.resume_execution(deferred["method"], kwargs, context)
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error), "how": "failed"}
    return {"error": None, "text": "", "how": "went on"}


def blocked(trigger: list[Any], hold: str) -> dict[str, Any]:
    """Run the trigger for some looks, and note each call in the loop's own thread that would hold up the others."""
    import asyncio
    import os
    import threading
    import time

    loop_thread, calls, looks = threading.get_ident(), [], threading.Event()

    def watched(name: str, function: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            about_it = name == "time.sleep" or str(arguments[0] if arguments else "").endswith(Path(hold).name)
            if about_it:
                looks.set()
                if threading.get_ident() == loop_thread:
                    calls.append(name)
            return function(*arguments, **more)

        return call

    subject = made(trigger)
    Path(hold).touch()
    for name in ("stat", "lstat", "access", "scandir", "listdir", "open"):
        setattr(os, name, watched(f"os.{name}", getattr(os, name)))
    time.sleep = watched("time.sleep", time.sleep)

    async def follow() -> None:
        first = asyncio.ensure_future(anext(subject.run()))
        deadline = asyncio.get_running_loop().time() + LONGEST
        while not looks.is_set() and not first.done() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        await asyncio.wait([first], timeout=FIRST_LOOK)
        first.cancel()

    asyncio.run(follow())
    return {"looked": looks.is_set(), "calls": sorted(set(calls))}
