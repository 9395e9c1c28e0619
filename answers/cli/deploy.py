"""Defines `answers deploy`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from answers.console import default_help
from answers.interrupts import interruptible

NONE = "none"


def deploy(
    to: Annotated[str | None, typer.Option(metavar="TAG", help="The tag to bring into force.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Undo a deploy that was interrupted, else the last one.")] = False,
    status: Annotated[bool, typer.Option("--status", help="What is in force, and the last deploys.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and plan, and do nothing.")] = False,
    wait: Annotated[
        float | None, typer.Option(help=f"Seconds for the runs of paused DAGs to end{default_help(600)}")
    ] = None,
    leave: Annotated[bool, typer.Option("--leave", help="Leave them: they finish on their own commit.")] = False,
    pause: Annotated[list[str] | None, typer.Option(metavar="DAG", help="Pause this one, too; may be repeated.")] = None,
    canary: Annotated[str, typer.Option(metavar="DAG", help="Has to succeed on the new commit; or none.")] = "q10_canary",
    repository: Annotated[Path | None, typer.Option(help="The bare repository, if not the embedded stack's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:  # fmt: skip
    """Deploy a tag of the DAGs: check, pause what is incompatible, ship, verify, resume. A deploy that fails is undone.

    Exit code 0: in force. 1: not, and what was begun is undone. A deploy that was killed is finished by the same command.
    """
    from answers.deploy.deploy import DeployError
    from answers.deploy.journal import JournalLocked
    from answers.stack.client import ApiError
    from answers.stack.repository import RepositoryError

    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        if sum((to is not None, rollback, status)) != 1:
            raise DeployError("say one of --to TAG, --rollback, --status")
        with interruptible():
            say = err if as_json else out
            answer = _Command(repository, say).carry_out(
                to, rollback, status, dry_run, _options(wait, leave, pause, canary)
            )
    except (DeployError, RepositoryError, ApiError, JournalLocked) as error:
        err.print(f"answers deploy: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        err.print("answers deploy: interrupted; `answers deploy --status` shows what is in force")
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps(answer))
    else:
        _print_answer(out, answer)


def _options(wait: float | None, leave: bool, pause: list[str] | None, canary: str) -> Any:
    from answers.deploy.deploy import Options

    options = Options(leave=leave, pause=tuple(pause or ()), canary=None if canary == NONE else canary)
    return options if wait is None else replace(options, wait=wait, wait_exactly=True)


class _Command:
    def __init__(self, repository: Path | None, console: Console) -> None:
        from answers.deploy.journal import Journal
        from answers.stack import bundles
        from answers.stack.repository import Repository
        from answers.stack.settings import Settings

        path = repository or bundles.repository_path(Settings.load().home)
        if not path.exists():
            from answers.deploy.deploy import DeployError

            raise DeployError(f"there is no repository {path}: `answers up --dags git` makes it")
        self.repository, self.journal = Repository(path), Journal(path.parent / "deploys")
        self._console = console

    def carry_out(self, to: str | None, rollback: bool, status: bool, dry_run: bool, options: Any) -> dict[str, Any]:
        from answers.deploy.deploy import Deploy, DeployError
        from answers.deploy.plan import planner
        from answers.deploy.server import Server
        from answers.stack.bundles import BRANCH
        from answers.stack.client import Airflow

        if status:
            return self._status()
        self.repository.fetch()
        plan = planner(self.repository, rolling_back=rollback)
        if dry_run:
            old, new = self.repository.head(BRANCH), self.repository.commit(to or self._previous())
            made = plan(old, new)
            asked = [asdict(each) for each in made.changes_that_require_pausing(options.pause)]
            return {"result": "dry-run", "old": old, "new": new, "pause": asked, **made.as_data()}
        with self.journal.locked():
            options = replace(options, rollback=rollback)
            engine = Deploy(self.repository, self.journal, Server(Airflow()), plan, options, self._say)
            if to:
                state = engine.deploy_tag(to)
            elif (unfinished := self.journal.unfinished()) is not None:
                state = engine.undo_deploy(unfinished, unfinished.steps.get("undoing", {}).get("reason", "asked for"))
            else:
                state = engine.deploy_tag(self._previous())
        if state.end is None:
            raise DeployError(f"{state.tag} is in no known state: see `answers deploy --status`")
        return {"result": state.end, "deploy": state.id, "tag": state.tag, "old": state.old, "new": state.new,
                "missed": state.missed,
                **{key: state.steps.get("planned", {}).get(key, []) for key in ("changes", "beside")}}  # fmt: skip

    def _previous(self) -> str:
        """Return the tag that was in force before the last deploy."""
        from answers.deploy.deploy import DeployError
        from answers.deploy.journal import State
        from answers.stack.bundles import BRANCH

        now = self.repository.head(BRANCH)
        done: list[State] = []
        for each in self.journal.deploys():
            if each.end == "done" and each.old != each.new:
                if each.options.get("rollback") and done:
                    done.pop()
                else:
                    done.append(each)
        if not done or done[-1].new != now:
            raise DeployError("nothing to roll back to: no deploy has shipped this commit")
        tags = self.repository.git("tag", "--points-at", done[-1].old).decode().split()
        if not tags:
            raise DeployError(f"{done[-1].old} was in force before, and has no tag: give it one, and deploy that")
        return tags[-1]

    def _status(self) -> dict[str, Any]:
        from answers.stack.bundles import BRANCH

        head = self.repository.head(BRANCH)
        deploys = [
            {"deploy": each.id, "at": each.at, "tag": each.tag, "old": each.old, "new": each.new,
             "state": each.end or f"interrupted after {list(each.steps)[-1]}", "paused": each.paused}
            for each in self.journal.deploys()[-10:]
        ]  # fmt: skip
        return {"result": "status", "in_force": head, "name": self.repository.name(head), "deploys": deploys}

    def _say(self, line: str) -> None:
        self._console.print(line, style="dim", markup=False, soft_wrap=True)


def _print_answer(out: Console, answer: dict[str, Any]) -> None:
    if answer["result"] == "status":
        table = Table("deploy", "tag", "commits", "state", title=f"in force: {answer['name']}")
        for each in answer["deploys"]:
            paused = f"; paused: {', '.join(each['paused'])}" if each["paused"] else ""
            table.add_row(
                each["deploy"], each["tag"], f"{each['old'][:10]} -> {each['new'][:10]}", each["state"] + paused
            )
        out.print(table)
        return
    if answer["changes"]:
        table = Table("DAG", "change", "incompatible because")
        for each in answer["changes"]:
            table.add_row(each["dag_id"], each["kind"], "\n".join(each["why"]))
        out.print(table)
    for line in answer.get("told", ()):
        out.print(line, markup=False, soft_wrap=True)
    if beside := answer["beside"]:
        shown = ", ".join(beside[:5]) + (f" and {len(beside) - 5} more" if len(beside) > 5 else "")
        out.print(
            f"not shipped, as they come with the image; the platform's differ from those here: {shown}",
            soft_wrap=True,
        )
    words = {"done": f"{answer.get('tag')} is in force", "rolled-back": "rolled back", "given-up": "undone before it was shipped",
             "dry-run": "nothing was done"}  # fmt: skip
    out.print(words[answer["result"]])
