"""Parses one DAG file as Airflow's DAG processor does, in a worker forked for it. Runs where Airflow is imported.

Longer than 300 lines, because what a file may change in the process and what puts it back belong together.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import importlib.machinery
import importlib.util
import itertools
import json
import os
import re
import sys
import threading
import time
import warnings
import zipimport
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import resources  # noqa: F401 - loaded here, as nearly every provider needs it
from pathlib import Path
from types import ModuleType
from typing import Any

from airflow import settings
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext
from airflow.serialization import serialized_objects

from dag_integrity.cycles import find_cycle
from dag_integrity.discovery import DagFile
from dag_integrity.facts import facts
from dag_integrity.failures import Failure, short
from dag_integrity.guard import Watch
from dag_integrity.imports import Imports
from dag_integrity.inspection import inspect
from dag_integrity.lost import Made
from dag_integrity.plain import plain
from dag_integrity.protocol import Result
from dag_integrity.sources import archive_of, is_utf8, read
from dag_integrity.stability import Suspicion, canonical
from dag_integrity.standin import Finder
from dag_integrity.template_rules import is_known, missing_templates

ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")
KNOWN = ("known_pools", "known_connections", "known_variables")
# DAGs are full of cycles, and collecting them costs more than a fresh process, unless that had to import much again.
MANY, FEW = 256, 40
Serialization: Any = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
LATER = timedelta(days=400, hours=1, minutes=1, seconds=1)


class Parser:
    """Parses files one after the other; what one of them changes in the process is put back before the next."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.watch, self._path = Watch(), list(sys.path)
        self.watch.longest = options["timeout"]
        self.imports = Imports(self.watch)
        self.watch.install()
        self._parsed, self._loaded = 0, set(sys.modules)
        self._lines: dict[int, int] = {}
        self._scheduled: set[int] = set()
        self._made = Made()
        self._suspicion = Suspicion()
        self._roots: tuple[str, ...] = ()
        self._place: dict[str, str] = {}
        self._environment: dict[str, str] = {}
        self._no_plugins = settings.PLUGINS_FOLDER
        self._is_local: dict[str, bool] = {}
        self._stand_ins = Finder(self._local_file) if options["missing"] == "stand-in" else None
        if self._stand_ins:
            sys.meta_path.append(self._stand_ins)
        self._record_lines()

    def _record_lines(self) -> None:
        """Remember at which line of the file each DAG and task is made, and which DAGs name their schedule."""
        watch, lines, scheduled, made = self.watch, self._lines, self._scheduled, self._made

        def wrap(cls: Any, line_of: Callable[[], int]) -> None:
            original = cls.__init__

            @functools.wraps(original)
            def recording(self: Any, *args: Any, **kwargs: Any) -> None:
                line = lines[id(self)] = line_of()
                if "schedule" in kwargs:
                    scheduled.add(line)
                if cls is DAG:
                    made.add(self, line)
                original(self, *args, **kwargs)

            cls.__init__ = recording

        wrap(DAG, watch.dag_line)
        wrap(BaseOperator, watch.line)

    def parse(self, job: DagFile, doc: bool, later: bool = False) -> Result:
        """Parse a file, in the folder and with the sys.path that the deployment would give it.

        :param doc: also return the serialised DAGs
        :param later: parse as if it were more than a year later, to see what the clock gets into
        """
        folder, filters = os.getcwd(), warnings.filters[:]
        loaded, threads = set(sys.modules), set(threading.enumerate())
        file, added = job.path, (*job.before, *job.roots)
        self._roots, self._is_local = tuple(f"{root.rstrip('/')}/" for root in added), {}
        # Airflow appends: an installed package wins over a DAG file of its name.
        sys.path[:] = [*job.before, *(entry for entry in self._path if entry not in added), *job.roots]
        os.chdir(job.home)
        settings.DAGS_FOLDER = job.dags
        place = {"AIRFLOW_HOME": self.options["airflow_home"] or job.home, "AIRFLOW__CORE__DAGS_FOLDER": job.dags}
        if place != self._place:
            self._place = place
            os.environ.update(place)
            self._environment = dict(os.environ)
        self._lines.clear()
        self._scheduled.clear()
        self._made.begin(file)
        result = Result()
        self._texts: dict[str, str] = {}
        plugins = (root for root in job.roots if os.path.basename(root) == "plugins")
        settings.PLUGINS_FOLDER = next(plugins, self._no_plugins)
        if self._stand_ins:
            self._stand_ins.begin()
        self.watch.begin(file, self._roots)
        self.imports.begin(self._local)
        start = time.process_time()
        try:
            with _a_year_later() if later else contextlib.nullcontext():
                self._parse(file, doc, start, result)
        finally:
            self.watch.active = False
            self._leftovers(file, threads, result)
            result.modules = sorted(self._own_modules(loaded))
            if self._stand_ins:
                result.stand_ins = dict(self._stand_ins.used)
            # All are looked at before one is removed: the path of a namespace package is computed from its parent.
            for name in [name for name in _added(loaded) if self._local(name)]:
                del sys.modules[name]
            sys.path[:] = self._path
            if self.watch.environment_changed:
                os.environ.clear()
                os.environ.update(self._environment)
            with contextlib.suppress(OSError):
                if os.getcwd() != folder:
                    os.chdir(folder)
            self._parsed += 1
            if self._parsed >= MANY and len(sys.modules) - len(self._loaded) < FEW:
                result.retire = True
            elif self._parsed % MANY == 0:
                gc.collect()
            warnings.filters[:] = filters  # type: ignore[index]
            DagContext._context.clear()
            TaskGroupContext._context.clear()
        return result

    def _parse(self, file: str, doc: bool, start: float, result: Result) -> None:
        found = result.findings
        name = module_name(file) if archive_of(file) is None else Path(file).stem
        DagContext.autoregistered_dags.clear()
        DagContext.current_autoregister_module_name = name
        module, code = ModuleType(name), None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loader = self._loader(name, file)
                module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))  # type: ignore[arg-type]
                sys.modules[name] = module
                code = loader.get_code(name)
                exec(code, module.__dict__)  # noqa: S102 - parsing a DAG file is running it
        except MemoryError:
            found.append(("AA104", 1, None, f"needs more than the {self.options['memory']} MB allowed"))
            result.retire = True
            return
        except BaseException as error:
            failure = Failure(error, file, self._roots, self.watch)
            result.stopped, result.missing = failure.refused, failure.missing
            if not failure.refused:
                found.append(("AA101", failure.line, None, failure.text))
            return
        finally:
            self.imports.end()
            DagContext.current_autoregister_module_name = None
            took = time.process_time() - start
            dags = [each for each in module.__dict__.values() if isinstance(each, DAG)]
            dags += [each for each, _ in DagContext.autoregistered_dags]
            DagContext.autoregistered_dags.clear()
            self._accesses(result)
            self._costs(took, result)
        unique = {id(dag): dag for dag in dags}.values()
        if unique and not is_utf8(read(file)):
            text = "Airflow cannot store the source, which it reads as UTF-8: the DAGs never appear"
            found.append(("AA101", 1, None, text))
        result.made = self._made.end(module, list(unique))
        packages = {key.partition(" ")[0].lstrip(".").partition(".")[0] for key in self.imports.asked}
        doc = doc or self._suspicion.of(file, code, packages, self._is_local)
        for dag in sorted(unique, key=lambda each: (self._lines.get(id(each), 1), each.dag_id)):
            self._dag(dag, file, name, doc, result)
        if doc or any(ADDRESS.search(text) for text in self._texts.values()):
            result.documents = {dag_id: canonical(json.loads(text)) for dag_id, text in self._texts.items()}

    def _loader(self, name: str, file: str) -> Any:
        """Load a module from disk, or from a zip file, which comes first on sys.path then."""
        if (parts := archive_of(file)) is None:
            return importlib.machinery.SourceFileLoader(name, file)
        sys.path.insert(0, parts[0])
        return zipimport.zipimporter(parts[0])

    def _dag(self, dag: Any, file: str, module: str, doc: bool, result: Result) -> None:
        line = self._lines.get(id(dag), 1)
        found = result.findings
        dag.fileloc, dag.relative_fileloc = file, os.path.basename(file)

        def line_of(task: Any) -> int:
            return self._lines.get(id(task), line)

        if cycle := _cycle(dag):
            found.append(("AA201", line, dag.dag_id, " -> ".join(cycle)))
            return
        try:
            dag.validate()
            found += [(rule, at, dag.dag_id, text) for rule, at, text in missing_templates(dag, line_of)]
            dag.resolve_template_files()
            if doc or not plain(dag):
                document = Serialization.serialize_dag(dag)
                self._texts[dag.dag_id] = json.dumps(document, sort_keys=True, default=str)
        except Exception as error:
            found.append(("AA101", line, dag.dag_id, f"Airflow refuses the DAG: {short(error)}"))
            return
        result.scheduled = sorted(self._scheduled)
        result.dags.append(facts(dag, line, line_of))
        found += [(rule, at, dag.dag_id, text) for rule, at, text in inspect(dag, line, line_of, module, self.options)]

    def _accesses(self, result: Result) -> None:
        stopped = "; parsing stops here, so the rest of the file is not checked" if result.stopped else ""
        seen = [(rule, line, text) for rule, line, text in self.watch.seen]
        for kind, key, line in dict.fromkeys(self.watch.lookups):
            seen.append(("AA403", line, f"looks up the {kind} {key!r}"))
        if stopped and self.watch.lookups:  # a look-up that failed and that the code does without is none of this
            kind, key, line = self.watch.lookups[-1]
            known = self.options[f"known_{kind}s"]
            if known is not None and not is_known(kind, key, known):
                rule = "AA308" if kind == "variable" else "AA307"
                result.findings.append((rule, line, None, f"the {kind} {key!r} is not known"))
        for number, (rule, line, text) in enumerate(seen):
            result.findings.append((rule, line, None, text + (stopped if number == len(seen) - 1 else "")))

    def _costs(self, took: float, result: Result) -> None:
        """Hold what the file costs against the budgets.

        :param took: CPU seconds of the whole parse. What its imports took is replaced by what they cost in a fresh process,
            so that it does not matter which file asked first; sleep counts as it was asked for.
        """
        asked = [entry for entry in self.imports.dearest() if entry[0].partition(".")[0] not in ("", "dag_integrity")]
        heavy = {name.partition(".")[0]: line for name, line, _ in reversed(asked)}
        for name in self.options["heavy_imports"]:
            if name in heavy:
                result.findings.append(("AA406", heavy[name], None, f"imports {name}"))
        light = self.options["preloaded_imports"]
        paid = [entry for entry in asked if not entry[0].startswith(tuple(light))] if light else asked
        total = sum(cost for *_, cost in paid)
        if total > self.options["import_budget"]:
            names = ", ".join(f"{name} {cost:.1f} s" for name, _, cost in paid[:3] if cost > 0.05)
            budget = self.options["import_budget"]
            result.findings.append(
                ("AA406", paid[0][1], None, f"imports take {total:.1f} s of CPU, budget {budget} s: {names}")
            )
        computed = max(took - self.imports.spent, 0.0) + total
        endless = self.watch.slept >= self.watch.longest  # a finding of its own
        if not endless and computed + self.watch.slept > self.options["parse_budget"]:
            sleep = f" and {self.watch.slept:g} s of sleep" if self.watch.slept else ""
            text = f"parsing takes {computed:.1f} s of CPU{sleep}, budget {self.options['parse_budget']} s"
            result.findings.append(("AA405", 1, None, text))

    def _leftovers(self, file: str, threads: set[threading.Thread], result: Result) -> None:
        for thread in set(threading.enumerate()) - threads:
            code = getattr(getattr(thread, "_target", None), "__code__", None)
            if code is not None and (code.co_filename == file or code.co_filename.startswith(self._roots)):
                result.findings.append(("AA105", 1, None, f"leaves the thread {thread.name} running"))
            result.retire = True
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        import psutil

        children = psutil.Process().children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE:
                    result.findings.append(("AA105", 1, None, f"leaves a process running: {child.name()}"))
                child.kill()
        psutil.wait_procs(children, timeout=1)
        result.retire = True

    def _local(self, name: str) -> bool:
        """Tell whether a module belongs to the project, not to the environment."""
        known = self._is_local.get(name)
        if known is None:
            module = sys.modules.get(name)
            file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", None) or ()), "")
            known = isinstance(file, str) and file.startswith(self._roots) and "site-packages" not in file
            known = known or name.startswith("unusual_prefix_")
            if module is not None:
                self._is_local[name] = known
        return known

    def _local_file(self, file: str) -> bool:
        return file.startswith(self._roots) and "site-packages" not in file

    def _own_modules(self, loaded: set[str]) -> set[str]:
        """Return the files of the project's modules that were imported since."""
        files = (getattr(sys.modules[name], "__file__", None) for name in _added(loaded) if self._local(name))
        return {file for file in files if isinstance(file, str)}


def _a_year_later() -> Any:
    """Let the clock go on from a date whose year, month, day, weekday, hour, minute and second are all others."""
    import time_machine

    return time_machine.travel(datetime.now(UTC) + LATER, tick=True)


def _added(before: set[str]) -> list[str]:
    """Return the modules that were not there before: usually the last ones, so that thousands need not be looked at."""
    last = list(itertools.takewhile(lambda name: name not in before, reversed(sys.modules)))
    return last if len(sys.modules) == len(before) + len(last) else list(set(sys.modules) - before)


def warm_up() -> None:
    """Load what nearly every DAG needs (operators of the standard provider, timetables), once for all workers."""
    with contextlib.suppress(Exception):  # without the standard provider, workers load what they need
        from airflow.providers.standard.operators.bash import BashOperator
        from airflow.providers.standard.operators.empty import EmptyOperator
        from airflow.sdk import Asset, task
        from airflow.sdk.execution_time import comms, context
        from airflow.secrets import environment_variables

        del comms, context, environment_variables  # guard.py asks for them in each worker
        with DAG("warm_up", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), auto_register=False) as dag:
            EmptyOperator(task_id="empty", outlets=[Asset("x://y")]) >> BashOperator(
                task_id="bash", bash_command="true"
            )
            task(warm_up)()
        dag.validate()
        dag.get_template_env().parse("{{ ds }}")
        Serialization.serialize_dag(dag)
        plain(dag)
        list(inspect(dag, 1, lambda _: 1, "", {"default_owner": "", "max_catchup_runs": 0, **dict.fromkeys(KNOWN)}))
    DagContext.autoregistered_dags.clear()


def module_name(file: str) -> str:
    """Return the name that Airflow gives the module of a DAG file."""
    digest = hashlib.sha1(file.encode(), usedforsecurity=False).hexdigest()
    return f"unusual_prefix_{digest}_{re.sub(r'[.-]', '_', Path(file).stem)}"


def _cycle(dag: Any) -> list[str]:
    """Return the tasks of a cycle, the first one again at the end; empty when there is none."""
    with contextlib.suppress(Exception):  # a cycle; Airflow 3.0 has no such method
        dag.check_cycle()
        return []
    return find_cycle({task.task_id: set(task.downstream_task_ids) for task in dag.tasks})
