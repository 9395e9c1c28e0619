"""A take-home from the archive to the report, and what a submission that means harm can do: nothing beyond its scratch."""

import os
import socket
import subprocess
import tarfile
from pathlib import Path

import psutil
import pytest

from answers.exercise import confine, handout, report, session, submitted, workspace
from answers.exercise.catalogue import ExerciseError
from support import tiny_ticket
from support.tiny_project import Project

pytestmark = pytest.mark.skipif(
    not confine.is_complete(), reason="this kernel has no Landlock: submissions are refused"
)
TEST = """
from shop.price import total

def test_three_things_are_many():
    assert total([500, 300, 200], True) == 900
"""
MARK = "the process that a submission leaves behind"
RIGHT = """
def total(prices, member=False):
    less = 10 if member and len(prices) >= 3 else 0
    return sum(prices) * (100 - less) // 100
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    tiny_ticket.write_ticket(project)
    return tiny_ticket.tracked(project)


def take_home(project: Project, folder: Path, code: str, **files: str) -> workspace.Workspace:
    """Send the archive, let the candidate work elsewhere, and take in what comes back."""
    archive = folder / "ticket.tar.gz"
    handout.start(project.root, tiny_ticket.ID, None, None, None, None, False, archive)
    elsewhere = folder / "elsewhere"
    with tarfile.open(archive) as tar:
        tar.extractall(elsewhere, filter="data")
    copy = workspace.find(elsewhere / "ticket")
    (copy.folder / "shop/price.py").write_text(code)
    for name, text in files.items():
        (copy.folder / "tests/unit" / f"{name}.py").write_text(text)
    with pytest.raises(ExerciseError, match="the checks are with your interviewer"):
        session.ask_kit(copy.folder, ["check"])
    file, changed = submitted.pack(copy, folder / "work.bundle")
    assert "M\tshop/price.py" in changed
    return submitted.take_in(project.root, file)


def test_a_take_home_is_played_from_the_archive_to_the_report(project, tmp_path):
    opened = take_home(project, tmp_path, RIGHT, test_members=TEST)
    with tarfile.open(tmp_path / "ticket.tar.gz") as tar:
        names = tar.getnames()
    assert not [name for name in names if "exercises" in name or "judge" in name or ".venv" in name]

    result = session.check(project.root, opened)
    assert (result.verdict, result.exit_code) == ("holds", 0), result.stages
    assert not (opened.folder / "shop").exists(), "a file of a submission was written as a file"

    session.measure_tests(project.root, opened)
    report.add_notes(project.root, opened, ["talk=<script>alert(1)</script> | good"])
    data = report.gather(project.root, opened)
    assert (data["verdict"], data["mode"], data["clock"]) == ("holds", "submission", "told by the candidate's machine")
    assert data["tests"] == {
        "why": "",
        "tried": {w["id"]: w["title"] for w in tiny_ticket.WRONG},
        "noticed": ["off-by-one"],
    }
    assert [(each["question"], each["chosen"]) for each in data["ask"]] == [("Who is a member?", True)]
    assert "+    less = 10 if member" in data["replay"][0]
    page = report.as_html(data)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "They notice 1 of 3 typical mistakes." in report.markdown(data)


ATTACKS = """
import glob, json, os, socket, subprocess, sys

def read(path):
    return open(path).read()

def total(prices, member=False):
    def evidence():
        for name in glob.glob("/tmp/answers-check-*/evidence/*/*") + glob.glob(os.path.dirname(os.getcwd()) + "/evidence/*/*"):
            open(name, "w").write("{}")
        os.listdir(os.path.dirname(os.getcwd()) + "/evidence")
    def fill():
        with open("big", "wb") as file:
            for _ in range(2000):
                file.write(bytes(1 << 20))
    def shared():
        with open("SHARED", "wb") as file:
            for _ in range(2000):
                file.write(bytes(1 << 20))
    def kill():
        os.kill(PARENT, 0)
    tried = {}
    for name, attack in {
        "secret": lambda: read("SECRET"),
        "kit": lambda: os.listdir("KIT"),
        "environ": lambda: read("/proc/PARENT/environ"),
        "write": lambda: open("OUTSIDE", "w"),
        "kill": kill,
        "connect": lambda: socket.create_connection(("127.0.0.1", PORT), 2),
        "evidence": evidence,
        "variable": lambda: os.environ["ANSWERS_TEST_SECRET"],
        "fill": fill,
        "shared": shared,
    }.items():
        try:
            attack()
            tried[name] = "done"
        except BaseException as error:
            tried[name] = type(error).__name__[:12]
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # MARK"], start_new_session=True)
    return [name for name, outcome in tried.items() if outcome == "done"] or "nothing"
"""


def test_a_submission_reaches_nothing_beyond_its_scratch(project, tmp_path, monkeypatch):
    monkeypatch.setenv("ANSWERS_TEST_SECRET", "hunter2")
    secret = tmp_path / "home" / ".ssh" / "id_ed25519"
    secret.parent.mkdir(parents=True)
    secret.write_text("a key")
    shared = confine.SHARED_MEMORY / f"answers-test-{tmp_path.name}-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = {
            "SECRET": str(secret),
            "KIT": str(project.root / "exercises"),
            "PARENT": str(os.getpid()),
            "OUTSIDE": str(tmp_path / "outside"),
            "PORT": str(server.getsockname()[1]),
            "MARK": MARK,
            "SHARED": str(shared),
        }
        code = ATTACKS
        for word, text in words.items():
            code = code.replace(word, text)
        opened = take_home(project, tmp_path, code)
        result = session.check(project.root, opened)
    stages = {stage.id: stage for stage in result.stages}
    assert stages["others"].seen == "a bill: nothing", result.log[-2000:]
    assert result.exit_code == 1
    assert not (tmp_path / "outside").exists()
    assert not shared.exists()
    assert [each for each in psutil.process_iter(["cmdline"]) if MARK in " ".join(each.info["cmdline"] or [])] == []


FORGES = """
def nothing(*_, **__):
    return []

def total(prices, member=False):
    return 7

for module, names in {
    "_pytest.python": ["Function.runtest"],
    "_pytest.runner": ["call_and_report"],
    "answers.exercise.judge": ["same", "wrong", "decide"],
    "answers.exercise.driver": ["Driver._write", "Driver._require_new", "Driver.note"],
    "answers.exercise.probing": ["_require_sealed", "run_judge"],
}.items():
    for name in names:
        try:
            *owner, last = name.split(".")
            target = __import__(module, fromlist=["it"])
            setattr(getattr(target, *owner) if owner else target, last, nothing)
        except Exception:
            pass
"""
KILLS = """
import os, signal

def total(prices, member=False):
    for kill in (lambda: os.kill(os.getppid(), signal.SIGKILL), lambda: os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)):
        try:
            kill()
        except OSError:
            pass
    return 7
"""


def test_a_submission_that_patches_pytest_and_the_judge_is_judged_all_the_same(project, tmp_path):
    opened = take_home(project, tmp_path, FORGES)
    result = session.check(project.root, opened)
    stages = {stage.id: stage for stage in result.stages}
    assert result.exit_code == 1, (result.stages, result.log)
    assert (stages["others"].verdict, stages["others"].seen) == ("wrong", "a bill: 7")
    (kept,) = project.root.glob(".answers/interviews/*/checks/1/evidence/probe/others.json")
    assert kept.read_text() == '{"value": 7}'


def test_a_submission_that_kills_what_runs_it_is_told_in_one_line(project, tmp_path):
    opened = take_home(project, tmp_path, KILLS)
    result = session.check(project.root, opened)
    stage = next(stage for stage in result.stages if stage.verdict in ("wrong", "cannot tell"))
    assert result.exit_code in (1, 2), result.stages  # kernels before 6.12 let it reach its parent
    assert len((stage.seen or stage.because).splitlines()) == 1
    assert [each for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE] == []


GREEDY = {
    "for ever": ("while True: pass", "was still running after"),
    "forks": (
        "import os, time\n    while os.fork(): time.sleep(0.001)\n    time.sleep(60)",
        "processes, more than 30",
    ),
    "memory": ("hoard = []\n    while True: hoard.append(bytearray(64 << 20))", "GB of memory, more than"),
    "disk": (
        "import itertools\n    for n in itertools.count(): open(f'part-{n}', 'wb').write(bytes(8 << 20))",
        "GB to the disk, more than",
    ),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_code_that_takes_all_it_can_get_is_ended_and_said_in_one_line(tmp_path, monkeypatch, kind):
    from answers.exercise import probing

    monkeypatch.setattr(probing, "MEMORY", 1 << 29)
    monkeypatch.setattr(probing, "PROCESSES", 30)
    monkeypatch.setattr(probing, "DISK", 1 << 28)
    monkeypatch.setattr(probing, "LOOK_AT_DISK", 0.2)
    body, said = GREEDY[kind]
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    quick = tiny_ticket.PROBE.replace("total, prices)", "total, prices, seconds=4)").replace(
        "True)", "True, seconds=1)"
    )
    tiny_ticket.write_ticket(project, probe_py=quick, keeps=[])
    opened = take_home(tiny_ticket.tracked(project), tmp_path, f"def total(prices, member=False):\n    {body}\n")
    result = session.check(project.root, opened)
    assert result.exit_code == 1, result.stages
    assert any(said in stage.seen for stage in result.stages), result.stages


def test_a_bundle_whose_tree_leads_out_is_refused(project, tmp_path):
    archive = tmp_path / "ticket.tar.gz"
    handout.start(project.root, tiny_ticket.ID, None, None, None, None, False, archive)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    copy = workspace.find(tmp_path / "ticket")
    file, _ = submitted.pack(copy, tmp_path / "good.bundle")

    def git(*arguments: str, text: str = "") -> str:
        command = ["git", "-C", copy.folder, "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()

    blob = git("hash-object", "-w", "--stdin", text="evil")
    inner = git("mktree", text=f"100644 blob {blob}\tescaped\n")
    tree = git("mktree", text=f"040000 tree {inner}\t..\n")
    message = git("log", "-1", "--format=%B", "refs/answers/submitted")
    evil = git("commit-tree", tree, "-p", "refs/answers/start", text=message)
    git("update-ref", "refs/answers/submitted", evil)
    git("bundle", "create", str(tmp_path / "evil.bundle"), "refs/answers/start", "refs/answers/submitted")
    with pytest.raises(ExerciseError, match="is no submission"):
        submitted.take_in(project.root, tmp_path / "evil.bundle")
    (tmp_path / "noise.bundle").write_bytes(os.urandom(1000))
    with pytest.raises(ExerciseError, match="is no submission"):
        submitted.take_in(project.root, tmp_path / "noise.bundle")
    assert submitted.take_in(project.root, file).ticket_id == tiny_ticket.ID
    assert list(tmp_path.rglob("escaped")) == []


def test_a_machine_that_cannot_confine_takes_no_submission(project, tmp_path, monkeypatch):
    monkeypatch.setattr(confine, "abi", lambda: 0)
    with pytest.raises(ExerciseError, match="this machine cannot confine it"):
        submitted.take_in(project.root, tmp_path / "work.bundle")
