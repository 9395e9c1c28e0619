"""A deploy step by step: what it pauses, ships, verifies and undoes, and that it can be killed anywhere."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from answers.deploy.deploy import DeployError
from answers.deploy.journal import Journal, JournalLocked
from answers.stack.repository import RepositoryError
from support import PROJECT
from support.deploys import World, document, git, killed

pytestmark = [pytest.mark.claim("10.4"), pytest.mark.usefixtures("impatient")]


def calls(world: World, kind: str) -> list[str]:
    return [dag_id for what, dag_id in world.seam.state["calls"] if what == kind]


def test_it_pauses_what_is_incompatible_and_resumes_what_it_has_paused(world):
    assert world.deploy("two").end == "done"
    assert world.head == world.new
    assert calls(world, "pause") == calls(world, "resume") == ["renamed", "weekly"]
    assert world.seam.state["paused"] == ["held"]
    steps = [entry["step"] for entry in world.journal.entries()]
    assert steps == ["begin", "planned", "pausing", "pausing", "shipping", "verified", "resumed", "resumed", "done"]


@pytest.mark.claim("4.8")
def test_the_events_that_a_paused_dag_has_missed_are_handed_over_and_told(world):
    state = world.deploy("two")
    assert state.missed == {"renamed": ["1 of asset"], "weekly": ["1 of asset"]}
    assert "renamed: resumed, and given the events that it missed: 1 of asset" in world.said
    resumed = [entry for entry in world.journal.entries() if entry["step"] == "resumed"]
    assert [(entry["dag"], entry["missed"]) for entry in resumed] == list(state.missed.items())
    assert world.seam.state["missed"] == {}


def test_a_dag_is_paused_on_request_too(world):
    world.deploy("two", pause=("steady",))
    assert calls(world, "pause") == calls(world, "resume") == ["renamed", "weekly", "steady"]


def test_a_second_deploy_of_the_same_tag_changes_nothing(world):
    world.deploy("two")
    before = world.seam.state["calls"]
    assert world.deploy("two").end == "done"
    assert (world.head, world.seam.state["calls"]) == (world.new, before)


def test_runs_under_way_are_waited_for_before_their_dag_is_paused(world):
    """Airflow schedules nothing of a paused DAG: a run that is waited for would never end."""
    world.seam.change(under_way={"renamed": ["scheduled__1"]})
    with pytest.raises(DeployError, match=r"renamed: scheduled__1\. --leave"):
        world.deploy("two")
    assert world.head == world.old
    assert "renamed" not in calls(world, "pause")
    assert world.seam.state["paused"] == ["held"]
    assert world.deploy("two", leave=True).end == "done"
    assert world.seam.state["paused"] == ["held"]


def test_a_run_that_begins_at_the_last_moment_is_let_go_again(world, monkeypatch):
    arrived = []

    def under_way(dag_id):  # nothing at the first look, a run at the second, after the DAG is paused
        arrived.append(dag_id)
        return ["late"] if dag_id == "renamed" and arrived.count("renamed") == 2 else []

    monkeypatch.setattr(world.seam, "under_way", under_way)
    assert world.deploy("two", wait=30).end == "done"
    assert calls(world, "pause").count("renamed") == 2
    assert world.seam.state["paused"] == ["held"]


def test_runs_that_a_killed_deploy_has_frozen_are_let_go_before_they_are_waited_for(world):
    """The first deploy leaves them, and is killed; the second one waits."""
    world.seam.change(under_way={"renamed": ["scheduled__1"]})
    assert killed(world, 8, lambda: world.deploy("two", leave=True))
    assert "renamed" in world.seam.state["paused"]
    with pytest.raises(DeployError, match="renamed: scheduled__1"):
        world.deploy("two")
    assert world.seam.state["paused"] == ["held"]
    assert ["resume", "renamed"] in world.seam.state["calls"]


def test_what_cannot_be_resumed_is_said_and_resumed_by_the_same_command(world, monkeypatch):
    pause = world.seam.pause

    def refuse(dag_id, paused):
        if not paused:
            raise RuntimeError("no answer")
        pause(dag_id, paused)

    with monkeypatch.context() as patched:
        patched.setattr(world.seam, "pause", refuse)
        with pytest.raises(DeployError, match="two is in force and verified, but not every DAG is resumed: no answer"):
            world.deploy("two")
    assert world.deploy("two").end == "done"
    assert world.seam.state["paused"] == ["held"]


def test_a_dag_whose_file_moves_or_is_gone_has_to_end_its_runs_whatever_is_asked(world):
    world.project.documents("moved", document("steady", "a", relative_fileloc="other/steady.py"))
    world.seam.change(under_way={"steady": ["scheduled__1"], "weekly": ["scheduled__2"]})
    with pytest.raises(DeployError, match=r"steady: scheduled__1; weekly: scheduled__2"):
        world.deploy("moved", leave=True)
    assert world.head == world.old


def test_a_canary_that_fails_takes_everything_back(world):
    world.project.documents("bad", document("steady", "breaks"), document("renamed", "a", "c"))
    with pytest.raises(DeployError, match=r"(?s)deploy__.* of steady failed.*bad is not deployed; one .* is in force"):
        world.deploy("bad", canary="steady")
    assert world.head == world.old
    assert world.seam.state["paused"] == ["held"]
    assert world.journal.deploys()[-1].end == "rolled-back"
    assert world.seam.state["missed"] == {}, "what is undone hands them over as well"


def test_a_canary_that_is_itself_incompatible_is_resumed_for_its_run(world):
    assert world.deploy("two", canary="renamed").end == "done"
    assert world.seam.state["paused"] == ["held"]


def test_a_tag_without_the_canary_is_refused_before_anything_is_done(world):
    with pytest.raises(DeployError, match="no DAG q10_canary to verify it with"):
        world.deploy("two", canary="q10_canary")
    assert (world.head, calls(world, "pause")) == (world.old, [])


def test_what_airflow_cannot_import_is_taken_back(world, monkeypatch):
    monkeypatch.setattr(
        world.seam, "import_errors", lambda since: {"new.py": "NameError"} if world.head == world.new else {}
    )
    with pytest.raises(DeployError, match=r"cannot import what was shipped: new\.py: NameError"):
        world.deploy("two")
    assert world.head == world.old


def test_a_file_that_was_broken_before_and_its_dags_are_no_reason_to_take_the_deploy_back(world, monkeypatch):
    """Airflow still knows the DAG of the broken file; it is in neither commit."""
    monkeypatch.setattr(world.seam, "import_errors", lambda since: {"old.py": "NameError"})
    versions = world.seam.versions
    monkeypatch.setattr(world.seam, "versions", lambda: versions() | {"of_old": world.old})
    plan = world.plan
    monkeypatch.setattr(
        world, "plan", lambda old, new: replace(plan(old, new), tolerated=["as before"], broken=["old.py"])
    )
    assert world.deploy("two").end == "done"
    assert "as before" in world.said


def test_ctrl_c_takes_everything_back(world, monkeypatch):
    def interrupt(since):
        raise KeyboardInterrupt

    monkeypatch.setattr(world.seam, "import_errors", interrupt)
    with pytest.raises(KeyboardInterrupt):
        world.deploy("two")
    assert (world.head, world.seam.state["paused"]) == (world.old, ["held"])
    assert world.journal.unfinished() is None


# -- the journal, the lock, the repository


def test_two_deploys_at_once_are_one_too_many(world):
    code = (
        "import sys; from pathlib import Path; from answers.deploy.journal import Journal\n"
        "with Journal(Path(sys.argv[1])).locked():\n    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(world.journal.folder)]
    holder = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(JournalLocked, match=f"process {holder.pid} deploys at this moment"):
        world.deploy("two")
    holder.kill()
    holder.wait()
    assert world.deploy("two").end == "done"


def test_a_line_that_a_crash_cut_off_does_not_count(tmp_path):
    journal = Journal(tmp_path)
    with journal.locked():
        journal.write("1", "begin", tag="two", old="a", new="b", options={})
    with journal.file.open("a") as file:
        file.write('{"deploy": "1", "st')
    assert [entry["step"] for entry in journal.entries()] == ["begin"]
    with journal.locked():
        journal.write("1", "done")
    assert [json.loads(line)["step"] for line in journal.file.read_text().splitlines()] == ["begin", "done"]


def test_a_branch_that_somebody_moved_is_not_overwritten(world, monkeypatch):
    strange = world.project.documents("strange", document("steady", "a"))
    world.repository.fetch()

    def moved_meanwhile(since):
        world.repository.git("update-ref", "refs/heads/deployed", strange)

    plan = world.plan
    monkeypatch.setattr(world, "plan", lambda old, new: (moved_meanwhile(None), plan(old, new))[1])
    with pytest.raises(DeployError, match=r"(?s)could not be undone completely: deployed is at strange"):
        world.deploy("two")
    assert world.head == strange


def test_a_tag_that_was_moved_is_refused(world):
    world.repository.fetch()
    git(world.project.folder, "tag", "--force", "two", world.old)
    with pytest.raises(RepositoryError, match="a tag was moved since it was fetched"):
        world.repository.fetch()


def test_an_unknown_tag_is_named_with_those_that_there_are(world):
    with pytest.raises(RepositoryError, match=r"no tag 'tow' \(the latest are .*two"):
        world.deploy("tow")


def test_a_project_without_a_commit_is_told_so(tmp_path):
    from answers.stack.bundles import create_repository

    with pytest.raises(RepositoryError, match="is no Git repository with a commit"):
        create_repository(tmp_path / "dags.git", tmp_path)
    assert not (tmp_path / "dags.git").exists()
