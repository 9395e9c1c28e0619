"""Writes what an interviewer talks about: verdicts, time, hints, what changed between checks, questions, a rubric."""

from __future__ import annotations

import ast
import html
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from answers.exercise import workspace
from answers.exercise.catalogue import ExerciseError, Ticket
from answers.exercise.changes import git
from answers.exercise.session import kept_at, ticket_of
from answers.exercise.workspace import Workspace
from include.files import write_atomically

LONGEST_FUNCTION = 10  # lines in dags/: a DAG file is wiring
LONGEST_DIFF = 20000  # characters of one step of the replay
RUBRIC = (
    ("It works", "no check of the story holds", "the story's checks hold", "all checks hold, within the time"),
    ("Safe to run again", "was not thought of", "holds when asked for", "was brought up by the candidate, and shown"),
    ("Verified", "tried by hand, or not", "tests fail without the change", "tests notice most typical mistakes"),
    (
        "Explains and weighs",
        "says what was typed",
        "says why this design",
        "names another design, and when it is better",
    ),
)
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{border:1px solid #999;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "pre{background:#f4f4f4;padding:.8rem;overflow:auto;font-size:.85rem}"
)


def gather(root: Path, opened: Workspace) -> dict[str, Any]:
    """Collect what is known of a copy's checks. Only what the kit has kept counts, not what lies in the copy.

    :raises ExerciseError: it was never checked.
    """
    ticket, note = ticket_of(root, opened), opened.note
    folder = kept_at(root, opened)
    files = sorted(folder.glob("checks/*/verdict.json"), key=lambda file: int(file.parent.name))
    checks = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if not checks:
        raise ExerciseError("nothing was checked yet: `answers exercise check` comes first")
    in_time = [check for check in checks if check["minute"] <= note.get("minutes", 0)]
    notes, measured = folder / "notes.json", folder / "tests.json"
    start = workspace.start_commit(opened)
    return {
        "ticket": opened.ticket_id,
        "title": ticket.exercise.title if ticket else "Find the mistake, and mend it",
        "variant": note.get("variant"),
        "minutes": note.get("minutes"),
        "mode": note.get("mode"),
        "clock": "told by the candidate's machine" if note.get("mode") == "submission" else "measured",
        "started_at": note.get("started_at"),
        "hints": note.get("hints_used") or [],
        "checks": [_line(check) for check in checks],
        "in_time": in_time[-1]["stages"] if in_time else None,
        "at_the_end": checks[-1]["stages"],
        "verdict": checks[-1]["verdict"],
        "outside": checks[-1]["outside"],
        "change": _change(opened, start, checks[-1]["commit"]),
        "replay": _replay(opened, [start, *(check["commit"] for check in checks)]),
        "tests": json.loads(measured.read_text(encoding="utf-8")) if measured.exists() else None,
        "ask": follow_ups(ticket, checks) if ticket else [],
        "notes": json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {},
    }


def _line(check: dict[str, Any]) -> dict[str, Any]:
    wrong = next((stage for stage in check["stages"] if stage["verdict"] == "wrong"), None)
    named = {key: check[key] for key in ("number", "minute", "verdict", "seconds", "commit")}
    return named | {"first_wrong": wrong["id"] if wrong else None, "seen": wrong["seen"] if wrong else ""}


def _change(opened: Workspace, start: str, end: str) -> dict[str, Any]:
    raw = git(opened.folder, "diff", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv", start, end).decode(
        errors="replace"
    )
    rows = [line.split("\t") for line in raw.splitlines() if line.count("\t") == 2]
    files = [{"file": name, "added": added, "removed": removed} for added, removed, name in rows]
    return {
        "files": files,
        "long_functions": [each for row in files for each in _long_functions(opened, end, row["file"])],
    }


def _long_functions(opened: Workspace, commit: str, name: str) -> list[str]:
    """Name the functions of a DAG file that are more than wiring."""
    if not name.startswith("dags/") or name.count("/") > 1 or not name.endswith(".py"):
        return []
    try:
        tree = ast.parse(git(opened.folder, "show", f"{commit}:{name}"))
    except (ExerciseError, SyntaxError, ValueError):
        return []
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [f"{name}:{function} ({lines} lines)" for function, lines in lengths if lines > LONGEST_FUNCTION]


def _replay(opened: Workspace, commits: list[str]) -> list[str]:
    steps = []
    for before, after in pairwise(commits):
        diff = git(opened.folder, "diff", "--no-ext-diff", "--no-textconv", "--no-color", before, after).decode(
            errors="replace"
        )
        steps.append(
            diff
            if len(diff) <= LONGEST_DIFF
            else f"{diff[:LONGEST_DIFF]}\n… cut: git diff {before[:12]} {after[:12]}\n"
        )
    return steps


def follow_ups(ticket: Ticket, checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the ticket's questions: those about checks that failed at any time come first."""
    file = ticket.folder / "INTERVIEWER.md"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    failed = {stage["id"] for check in checks for stage in check["stages"] if stage["verdict"] == "wrong"}
    asked = []
    for line in re.findall(r"^- (.+(?:\n  .+)*)", text, re.M):
        about = re.match(r"\*\*([\w-]+)\*\*\s*", line)
        question, _, listen = re.sub(r"\s+", " ", line[about.end() if about else 0 :]).partition("Listen for:")
        check = about[1] if about else None
        asked.append(
            {"check": check, "question": question.strip(), "listen_for": listen.strip(), "chosen": check in failed}
        )
    asked.sort(key=lambda each: not each["chosen"])
    for each in asked[: 2 if not any(each["chosen"] for each in asked) else 0]:
        each["chosen"] = True
    return asked


def add_notes(root: Path, opened: Workspace, notes: list[str]) -> None:
    """Keep the interviewer's notes, each KEY=TEXT.

    :raises ExerciseError: one is not of this form.
    """
    file = kept_at(root, opened) / "notes.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for note in notes:
        key, equals, text = note.partition("=")
        if not equals or not key.strip():
            raise ExerciseError(f"--note {note!r}: write it as KEY=TEXT")
        known[key.strip()] = text.strip()
    write_atomically(file, json.dumps(known, indent=2) + "\n", 0o600)


def markdown(data: dict[str, Any]) -> str:
    """Write a report as Markdown."""
    parts = [
        f"# {data['title']}\n",
        f"{data['ticket']}, variant {data['variant']}, {data['minutes']} minutes, {data['mode']}. Times are {data['clock']}.\n",
        "## Checks\n",
        _verdicts(data),
        "## Time\n",
        _table(
            ("check", "minute", "verdict", "first that does not hold", "seen"),
            [
                (c["number"], c["minute"], c["verdict"], c["first_wrong"] or "", _code(c["seen"]))
                for c in data["checks"]
            ],
        ),
        f"Hints: {_hints(data['hints'])}.\n",
        "## The change\n",
        _table(
            ("file", "added", "removed"),
            [(_code(f["file"]), f["added"], f["removed"]) for f in data["change"]["files"]],
        ),
        f"Long functions in DAG files: {', '.join(map(_code, data['change']['long_functions'])) or 'none'}.\n",
        f"Changed and not used, as outside of the bounds: {', '.join(map(_code, data['outside'])) or 'nothing'}.\n",
        "## The candidate's tests\n",
        _tests(data["tests"]),
        "## Ask\n",
        *(
            f"- {'**ask** ' if a['chosen'] else ''}{a['question']} *Listen for:* {a['listen_for']}\n"
            for a in data["ask"]
        ),
        "## Rubric\n",
        _table(("", "below", "meets", "exceeds"), RUBRIC),
        "## Notes\n",
        *(f"- {_code(key)}: {_code(text)}\n" for key, text in data["notes"].items()),
        "## Replay\n",
        *(f"From check {n} to {n + 1}:\n\n{_block(diff)}\n" for n, diff in enumerate(data["replay"])),
    ]
    return "\n".join(parts)


def _hints(hints: list[dict[str, Any]]) -> str:
    return ", ".join(f"{each['hint']} after {each['minute']} minutes" for each in hints) or "none"


def _verdicts(data: dict[str, Any]) -> str:
    early = {stage["id"]: stage["verdict"] for stage in data["in_time"] or ()}
    rows = [
        (stage["id"], stage["holds"], early.get(stage["id"], "no check"), stage["verdict"], _code(stage["seen"]))
        for stage in data["at_the_end"]
    ]
    return _table(("check", "", "within the time", "at the end", "seen"), rows)


def _tests(tests: dict[str, Any] | None) -> str:
    if tests is None:
        return "Not measured: `answers exercise report --tests` runs them on the ticket's wrong answers.\n"
    if tests["why"]:
        return f"{tests['why']}\n"
    lines = [f"They notice {len(tests['noticed'])} of {len(tests['tried'])} typical mistakes.\n"]
    lines += [
        f"- {'noticed' if id_ in tests['noticed'] else 'not noticed'}: {title}" for id_, title in tests["tried"].items()
    ]
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Any) -> str:
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def _code(text: str) -> str:
    """Quote what a candidate wrote: it is no Markdown."""
    plain = str(text).replace("`", "'").replace("\n", " ")
    return f"`{plain}`" if plain else ""


def _block(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}diff\n{text}\n{fence}\n"


def as_html(data: dict[str, Any]) -> str:
    """Write a report as one HTML page without script."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown(data))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(data["title"])}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{STYLE}</style></head><body>{body}</body></html>\n'
    )
