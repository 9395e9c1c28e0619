"""Checks beside whatever else this machine does: a stack that is up, and a push that has little time."""

import socket
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from answers.exercise import catalogue, proving, session, submitted, workspace
from support import tiny_ticket
from support.tiny_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    tiny_ticket.write_ticket(project)
    return tiny_ticket.tracked(project)


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> workspace.Workspace:
    ticket = catalogue.find(project.root, tiny_ticket.ID)
    return workspace.start(project.root, ticket, 1, tmp_path / "copy", minutes=15)


def test_a_push_proves_what_there_is_time_for_and_names_the_rest(project):
    said: list[str] = []
    tickets = [catalogue.find(project.root, tiny_ticket.ID)]
    assert proving.prove_all(project.root, tickets, 1, 2, (), said.append, minutes=0.01) == []
    assert said == [
        f"{tiny_ticket.ID}: LEFT OUT, it takes {proving.seconds_of(tickets[0], 2) / 60:.0f} minutes and 0 are left"
    ]


RIGHT = """
def total(prices, member=False):
    less = 10 if member and len(prices) >= 3 else 0
    return sum(prices) * (100 - less) // 100
"""


def test_a_nightly_proof_takes_the_variants_by_turns(project):
    ticket = catalogue.find(project.root, tiny_ticket.ID)
    days = [date(2026, 12, 31) + timedelta(days=n) for n in range(2)]
    assert sorted(proving.turn_of(ticket, day) for day in days) == [1, 2]
    (proof,) = proving.prove_all(project.root, [ticket], 0, 1, ["untouched"], lambda line: None)
    assert proof.variant in (1, 2)
    assert proof.problems == []


INTRUDES = """
import os, socket
from pathlib import Path

def total(prices, member=False):
    for step in (lambda: Path("STACK", "warehouse").write_text("mine"), lambda: socket.create_connection(("127.0.0.1", PORT), 2)):
        try:
            step()
        except OSError:
            continue
        raise SystemExit("reached the candidate's own stack")
    assert "STACK" not in str(dict(os.environ))
    less = 10 if member and len(prices) >= 3 else 0
    return sum(prices) * (100 - less) // 100
"""


def test_a_check_leaves_the_candidates_own_stack_alone(project, copy, monkeypatch):
    """Its folder, its port and its settings stand for a stack that is up while somebody checks."""
    stack = copy.folder / ".airflow"
    stack.mkdir()
    (stack / "warehouse").write_text("the stack's")
    for name in ("ANSWERS_HOME", "AIRFLOW_HOME", "AIRFLOW_CONN_CLICKHOUSE_DEFAULT"):
        monkeypatch.setenv(name, str(stack))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        code = INTRUDES.replace("STACK", str(stack)).replace("PORT", str(server.getsockname()[1]))
        (copy.folder / "shop/price.py").write_text(code)
        result = session.check(project.root, copy)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert result.verdict == "holds", (result.stages, result.log)
    assert (stack / "warehouse").read_text() == "the stack's"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is one disk only")
        yield Path(folder)


def test_a_copy_on_another_disk_is_checked_put_back_and_packed(project, other_disk, tmp_path):
    ticket = catalogue.find(project.root, tiny_ticket.ID)
    copy = workspace.start(project.root, ticket, 1, other_disk / "copy", minutes=15)
    price = copy.folder / "shop/price.py"
    price.write_text("def total(prices, member=False):\n    return sum(prices)\n")
    assert session.check(project.root, copy).first_wrong.id == "members"
    _, changed = workspace.reset(copy, ["shop/price.py"])
    assert changed == ["shop/price.py"]
    price.write_text(RIGHT)
    assert session.check(project.root, copy).verdict == "holds"
    file, _ = submitted.pack(copy, tmp_path / "work.bundle")
    assert submitted.take_in(project.root, file).ticket_id == ticket.id
