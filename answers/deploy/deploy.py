"""Runs one deploy: check -> plan -> pause what is incompatible -> ship -> verify -> resume; undone where it fails.

Every step is in the journal before the next begins, so that a deploy which was killed anywhere is finished by the same
command, or undone by `--rollback`. Shipping is one update of a Git reference: Airflow sees the old commit or the new one.
The file is longer than others since the steps and their undoing are one sequence that is read from top to bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from answers.deploy.journal import Journal, State
from answers.deploy.shape import Change
from answers.stack.bundles import BRANCH
from answers.stack.repository import Repository
from include.waiting import Deadline, poll

POLL = 0.5  # seconds between two looks at the server
PARSE_PATIENCE = 180.0  # seconds for Airflow to parse what was shipped
ASK_EVERY = 5.0  # seconds: what Airflow has not parsed by then, it is asked for again


class DeployError(RuntimeError):
    """The deploy did not take place, or was undone. The text says why, what is in force, and what to do."""


class Airflow(Protocol):
    """Describes what a deploy asks of Airflow; answers/deploy/server.py asks it by REST."""

    def versions(self) -> dict[str, str | None]: ...  # noqa: D102 - said there
    def scheduled_from(self, dag_id: str) -> str | None: ...  # noqa: D102
    def ask_to_refresh(self, behind: Sequence[str]) -> None: ...  # noqa: D102
    def import_errors(self, since: datetime) -> dict[str, str]: ...  # noqa: D102
    def is_paused(self, dag_id: str) -> bool: ...  # noqa: D102
    def pause(self, dag_id: str, paused: bool) -> None: ...  # noqa: D102
    def under_way(self, dag_id: str) -> list[str]: ...  # noqa: D102
    def hand_over_missed_events(self, dag_id: str) -> list[str]: ...  # noqa: D102
    def start(self, dag_id: str, run_id: str) -> None: ...  # noqa: D102
    def run(self, dag_id: str, run_id: str) -> dict[str, Any]: ...  # noqa: D102
    def link(self, dag_id: str, run_id: str) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Options:
    """Holds what the caller chooses.

    :param wait: seconds for the runs under way of DAGs with an incompatible change to end
    :param wait_exactly: these seconds, however slow the machine is
    :param leave: do not wait for them, except where they could not go on
    :param pause: DAGs that are paused whatever changes about them
    :param canary: the DAG that has to succeed on the new commit; None: no such run
    :param patience: seconds for that run
    :param rollback: the deploy takes the last one back
    """

    wait: float = 600.0
    wait_exactly: bool = False
    leave: bool = False
    pause: tuple[str, ...] = ()
    canary: str | None = "q10_canary"
    patience: float = 300.0
    rollback: bool = False


@dataclass(frozen=True)
class Plan:
    """Holds what a deploy will do: the DAGs that change, and those of the new commit."""

    changes: list[Change]
    dags: list[str]
    platform_drift: list[str]
    """Files of the tag that a deploy does not ship and that differ from the platform's."""
    tolerated: list[str] = field(default_factory=list)
    """Findings of the checker that do not stop the deploy: they are in force as well, or only slow."""
    broken: list[str] = field(default_factory=list)
    """Files that cannot be parsed, neither in what is in force."""

    def as_data(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        changes = [asdict(each) for each in self.changes]
        return {
            "changes": changes,
            "dags": self.dags,
            "beside": self.platform_drift,
            "told": self.tolerated,
            "broken": self.broken,
        }

    def changes_that_require_pausing(self, also: tuple[str, ...] = ()) -> list[Change]:
        """Return the changes that a DAG has to be paused for, and those of the DAGs `also`."""
        asked = [Change(each.dag_id, each.kind, ("you asked for it",)) for each in self.changes if each.dag_id in also]
        return [each for each in self.changes if each.why] + [
            a for a in asked if not _change_of_dag(self.changes, a.dag_id).why
        ]


Planner = Callable[[str, str], Plan]
"""(the commit in force, the new one) -> the plan. Raises DeployError when the new one must not be shipped."""


class Deploy:
    """Deploys to one Airflow from one repository."""

    def __init__(
        self,
        repository: Repository,
        journal: Journal,
        server: Airflow,
        plan: Planner,
        options: Options,
        say: Callable[[str], None],
    ) -> None:
        self._repository, self._journal, self._server = repository, journal, server
        self._plan, self._options, self._say = plan, options, say

    def deploy_tag(self, tag: str) -> State:
        """Bring a tag into force, or finish what a killed deploy of it began.

        :raises DeployError: it is not in force; what was begun is undone
        """
        new = self._repository.commit(tag)
        state = self._journal.unfinished()
        if state is not None:
            if "undoing" in state.steps:
                reason = state.steps["undoing"]["reason"]
                self.undo_deploy(state, reason)
                raise DeployError(f"the deploy of {state.tag} failed and is undone now: {reason}")
            if state.new != new:
                raise DeployError(
                    f"a deploy of {state.tag} was interrupted: `answers deploy --to {state.tag}` finishes it, "
                    "`answers deploy --rollback` undoes it"
                )
            self._say(f"finishing the deploy of {tag} that was interrupted after: {list(state.steps)[-1]}")
        else:
            state = self._begin(tag, new)
        try:
            if "shipping" not in state.steps:
                self._prepare(state)
            self._ship(state)
            if "verified" not in state.steps:
                self._verify(state)
        except (Exception, KeyboardInterrupt) as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
            self.undo_deploy(state, reason)
            if isinstance(error, KeyboardInterrupt):
                raise
            in_force = self._repository.name(state.old)
            raise DeployError(f"{reason}\n{tag} is not deployed; {in_force} is in force") from error
        try:
            self._resume(state)
        except Exception as error:
            raise DeployError(
                f"{tag} is in force and verified, but not every DAG is resumed: {error}. The same command finishes it"
            ) from error
        self._journal.write(state.id, "done")
        return self._reread(state.id)

    def undo_deploy(self, state: State, reason: str) -> State:
        """Take a deploy back: the commit before it, and the DAGs that it has paused.

        :raises DeployError: Airflow does not follow; the next call goes on with it
        """
        state = self._reread(state.id)
        shipped = "shipping" in state.steps
        self._journal.write(state.id, "undoing", reason=reason)
        try:
            if shipped:
                self._say(f"rolling back to {self._repository.name(state.old)}: {reason.splitlines()[0]}")
                since = datetime.now(UTC)
                self._repository.move(BRANCH, state.new, state.old)
                self._await_commit(state, state.old, state.steps["planned"]["before"], since, tolerant=True)
            self._resume(state)
        except Exception as error:
            raise DeployError(
                f"{reason}\nand it could not be undone completely: {error}\nWhen that is mended, "
                "`answers deploy --rollback` goes on with it"
            ) from error
        self._journal.write(state.id, "rolled-back" if shipped else "given-up", reason=reason)
        return self._reread(state.id)

    # -- the steps

    def _begin(self, tag: str, new: str) -> State:
        old = self._repository.head(BRANCH)
        number = len(self._journal.deploys()) + 1
        deploy = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{number}"
        self._journal.write(deploy, "begin", tag=tag, old=old, new=new, options=asdict(self._options))
        return self._reread(deploy)

    def _prepare(self, state: State) -> None:
        """Check and plan, then pause what is incompatible, once its runs have ended or are left."""
        self._say(f"checking {state.tag}")
        before = self._server.versions()  # that Airflow answers is known before anything is done
        plan = self._plan(state.old, state.new)
        if (canary := self._options.canary) and canary not in plan.dags:
            raise DeployError(f"{state.tag} has no DAG {canary} to verify it with: name another, --canary ID, or none")
        stopping = plan.changes_that_require_pausing(self._options.pause)
        for line in plan.tolerated:
            self._say(line)
        changes = [asdict(each) for each in plan.changes]
        planned = {"changes": changes, "dags": plan.dags, "beside": plan.platform_drift, "broken": plan.broken}
        self._journal.write(state.id, "planned", before=sorted(before), **planned)
        for change in stopping:
            self._say(f"{change.dag_id}: {'; '.join(change.why)}")
        waiting = {each.dag_id: each.must_end or not self._options.leave for each in stopping if each.dag_id in before}
        deadline = Deadline(self._options.wait, scales=not self._options.wait_exactly)
        for _ in poll(deadline, POLL):
            held: dict[str, list[str]] = {}
            for dag_id, to_its_end in list(waiting.items()):
                # Pausing first would freeze them: Airflow schedules no task of a paused DAG, not even of runs under way.
                if to_its_end and (runs := self._runs(state, dag_id)):
                    held[dag_id] = runs
                elif self._pause(state, dag_id, to_its_end):
                    del waiting[dag_id]
            if not waiting:
                return
        runs_of = "; ".join(f"{dag_id}: {', '.join(runs[:5])}" for dag_id, runs in held.items())
        raise DeployError(
            f"after {deadline.seconds:.0f} s these runs still go on: {runs_of}. --leave does not wait for "
            "runs that can go on beside the new commit; else let them end, or --wait longer"
        )

    def _runs(self, state: State, dag_id: str) -> list[str]:
        """List the runs to wait for. Those of a DAG that a person has paused do not move: they are left."""
        paused = self._server.is_paused(dag_id)
        if paused and dag_id not in self._reread(state.id).paused:
            return []
        if (runs := self._server.under_way(dag_id)) and paused:
            self._server.pause(dag_id, False)  # by this deploy, before it was killed: they stand still
        return runs

    def _pause(self, state: State, dag_id: str, to_its_end: bool) -> bool:
        """Pause a DAG; False if a run began at the last moment, for which it is let go again."""
        ours = dag_id in self._reread(state.id).paused
        if self._server.is_paused(dag_id):
            return True  # by a person, who alone resumes it; or by this deploy, before it was killed
        if not ours:
            self._journal.write(state.id, "pausing", dag=dag_id)
        self._server.pause(dag_id, True)
        if to_its_end and self._server.under_way(dag_id):
            self._server.pause(dag_id, False)
            return False
        return True

    def _ship(self, state: State) -> None:
        if "shipping" not in state.steps:
            self._journal.write(state.id, "shipping")
        self._repository.move(BRANCH, state.old, state.new)
        self._say(f"shipped {self._repository.name(state.new)}")

    def _verify(self, state: State) -> None:
        """Wait until Airflow has every DAG at the new commit, without an import error, and let the canary run there."""
        state = self._reread(state.id)
        since = datetime.fromisoformat(state.steps["shipping"]["at"])
        self._await_commit(state, state.new, state.steps["planned"]["dags"], since)
        if canary := self._options.canary:
            if canary in state.paused:
                self._resume_dag(state, canary)  # a run of a paused DAG would wait for ever
            run_id = f"deploy__{state.id}"
            self._server.start(canary, run_id)
            self._say(f"running {canary}")
            deadline = Deadline(self._options.patience)
            for _ in poll(deadline, POLL):
                if (run := self._server.run(canary, run_id))["state"] in ("success", "failed"):
                    break
            else:
                raise DeployError(f"{run_id} of {canary} has not ended after {deadline.seconds:.0f} s")
            if run["state"] == "failed":
                raise DeployError(f"{run_id} of {canary} failed: {self._server.link(canary, run_id)}")
            if run["bundle_version"] != state.new:
                raise DeployError(f"{run_id} of {canary} ran on {run['bundle_version']}, not on what was shipped")
        self._journal.write(state.id, "verified")

    def _await_commit(
        self, state: State, commit: str, dags: list[str], since: datetime, tolerant: bool = False
    ) -> None:
        """Wait until Airflow has exactly these DAGs at a commit.

        :param tolerant: going back, an import error is no reason to stop, as long as the DAGs come
        """
        changed = {each["dag_id"] for each in state.steps["planned"]["changes"]}
        altered = sorted(changed & set(dags))
        broken = set(state.steps["planned"].get("broken", ()))
        # Airflow keeps the DAGs of a file that cannot be parsed any more: they are in neither commit.
        of_broken_files = set(state.steps["planned"]["before"]) - set(dags) - changed if broken else set()
        asked = float("-inf")
        for deadline in poll(PARSE_PATIENCE, POLL):
            seen = self._server.versions()
            behind = sorted(dag_id for dag_id in dags if seen.get(dag_id) != commit)
            if not behind:  # what parses is one thing, what runs are made from another
                behind = [dag_id for dag_id in altered if self._server.scheduled_from(dag_id) != commit]
            extra = sorted(set(seen) - set(dags) - of_broken_files)
            errors = {} if tolerant else self._server.import_errors(since)
            if new := [f"{file}: {error}" for file, error in errors.items() if file not in broken]:
                raise DeployError("Airflow cannot import what was shipped: " + "; ".join(new))
            if not behind and not extra:
                return
            if deadline.elapsed - asked > ASK_EVERY:
                self._server.ask_to_refresh(behind)
                asked = deadline.elapsed
        what = [f"not at the commit: {', '.join(behind[:10])}"] if behind else []
        what += [f"still there: {', '.join(extra[:10])}"] if extra else []
        raise DeployError(f"after {deadline.seconds:.0f} s Airflow has not followed; {'; '.join(what)}")

    def _resume(self, state: State) -> None:
        paused = self._reread(state.id).paused
        for dag_id in paused:  # all of them first: Airflow does not tell the events of runs that stand still
            self._server.pause(dag_id, False)
        for dag_id in paused:
            self._hand_over(state, dag_id)

    def _resume_dag(self, state: State, dag_id: str) -> None:
        self._server.pause(dag_id, False)
        self._hand_over(state, dag_id)

    def _hand_over(self, state: State, dag_id: str) -> None:
        """Give a DAG that is resumed the events that Airflow has not given it while it was paused."""
        missed = self._server.hand_over_missed_events(dag_id)
        self._journal.write(state.id, "resumed", dag=dag_id, missed=missed)
        if missed:
            self._say(f"{dag_id}: resumed, and given the events that it missed: {', '.join(missed)}")

    def _reread(self, deploy: str) -> State:
        return next(each for each in self._journal.deploys() if each.id == deploy)


def _change_of_dag(changes: list[Change], dag_id: str) -> Change:
    return next(each for each in changes if each.dag_id == dag_id)
