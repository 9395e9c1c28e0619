"""A tiny ticket for the tiny project, on which the exercises themselves are tested."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from answers.exercise import catalogue, workspace
from support.tiny_project import Project

ID = "q01-members-pay-less"
STORY = """# Members pay less

From an order of {{ many }} things on, members pay {{ percent }} % less. `total(prices, member=False)` stays the name.
"""
EXERCISE: dict[str, Any] = {
    "id": ID,
    "title": "Members pay less",
    "question": "q01",
    "level": 15,
    "tier": "call",
    "seconds": 5,
    "variants": [
        {"told": {"many": 3, "percent": 10}, "hidden": {"prices": [500, 300, 200]}},
        {"told": {"many": 4, "percent": 20}, "hidden": {"prices": [100, 300, 200, 400]}},
    ],
    "bounds": {"yours": ["shop/**", "tests/**"], "not_yours": ["shop/till.py"]},
    "checks": [
        {"id": "others", "holds": "Who is no member pays what he paid"},
        {"id": "members", "holds": "Members pay less", "after": ["others"]},
        {"id": "few", "holds": "A small order costs what it cost", "after": ["members"]},
    ],
    "keeps": ["tests/unit/test_price.py"],
    "hints": ["Where is a bill added up?", "`total` gets a second argument.", "`sum(prices) * 9 // 10`"],
}
PROBE = """
def total(*arguments):
    from shop.price import total
    return total(*arguments)

def probe(p):
    prices = p.hidden["prices"]
    p.inside("others", total, prices)
    p.inside("members", total, prices, True)
    p.inside("few", total, prices[:2], True)
"""
JUDGE = """
from answers.exercise.judge import check, same

@check("others")
def others(seen, v):
    same(seen.value("others"), sum(v.hidden["prices"]), "a bill", because="the price is for members alone")

@check("members")
def members(seen, v):
    wanted = sum(v.hidden["prices"]) * (100 - v.told["percent"]) // 100
    same(seen.value("members"), wanted, "a member's bill", because="a large order costs a member less")

@check("few")
def few(seen, v):
    same(seen.value("few"), sum(v.hidden["prices"][:2]), "a member's small bill", because="small orders cost everybody the same")
"""
IN_PLACE = """--- a/shop/price.py
+++ b/shop/price.py
@@ -1,5 +1,6 @@
 CURRENCY = "EUR"


-def total(prices):
-    return sum(prices)
+def total(prices, member=False):
+    less = 10 if member and len(prices) >= 3 else 0
+    return sum(prices) * (100 - less) // 100
"""
IN_A_MODULE = """--- /dev/null
+++ b/shop/discount.py
@@ -0,0 +1,4 @@
+def of(order):
+    if len(order) > 2:
+        return sum(order) // 10
+    return 0
--- a/shop/price.py
+++ b/shop/price.py
@@ -1,5 +1,9 @@
+from shop import discount
+
 CURRENCY = "EUR"


-def total(prices):
-    return sum(prices)
+def total(prices, member=None):
+    if member:
+        return sum(prices) - discount.of(prices)
+    return sum(prices)
"""
BOUNDARY = {"file": "shop/price.py", "find": "member and len(prices) >= 3", "replace": "len(prices) >= 3"}
WRONG: list[dict[str, Any]] = [
    {
        "id": "everybody",
        "title": "Everybody pays less",
        "base": "in-place",
        "edits": [BOUNDARY],
        "convicted_by": "others",
        "says": "a bill: 900",
        "why": "Nobody else was promised a lower price.",
    },
    {
        "id": "small-orders",
        "title": "Small orders, too",
        "base": "in-place",
        "edits": [BOUNDARY | {"replace": "member"}],
        "convicted_by": "few",
        "says": "small orders cost everybody the same",
        "why": "The limit is forgotten.",
    },
    {
        "id": "off-by-one",
        "title": "More than three",
        "base": "in-place",
        "edits": [BOUNDARY | {"replace": "member and len(prices) > 3"}],
        "convicted_by": "members",
        "says": "a member's bill",
        "why": "From three on means three as well.",
    },
]


def write_ticket(project: Project, folder: str = f"exercises/{ID}", **changes: Any) -> Path:
    """Write the ticket into a project; `changes` replace fields of exercise.yaml, or a whole file by its name without dots."""
    project.write("tests/conftest.py", "")  # a confined process cannot read the checkout that judges
    texts = {"TICKET_md": STORY, "probe_py": PROBE, "judge_py": JUDGE, "wrong_yaml": yaml.safe_dump(WRONG)}
    texts |= {"INTERVIEWER_md": "## Ask\n\n- Who is a member? Listen for: a rule that is written down.\n"}
    files = {name: changes.pop(name, text) for name, text in texts.items()}
    for name, text in files.items():
        if text is not None:
            stem, _, ending = name.rpartition("_")
            project.write(f"{folder}/{stem}.{ending}", text)
    for name, patch in changes.pop("designs", {"in-place": IN_PLACE, "in-a-module": IN_A_MODULE}).items():
        project.write(f"{folder}/solutions/{name}/changes.patch", patch)
        project.write(f"{folder}/solutions/{name}/WHY.md", "It is short.\n")
    project.write(f"{folder}/exercise.yaml", yaml.safe_dump(EXERCISE | changes, sort_keys=False))
    return project.root / folder


def project_in(folder: Path, **changes: Any) -> Project:
    """Make FOLDER/project with the ticket, as `write_ticket` changes it, and commit it."""
    (folder / "project").mkdir()
    project = Project(folder / "project")
    write_ticket(project, **changes)
    return tracked(project)


def copy_of(project: Project, folder: Path) -> workspace.Workspace:
    """Hand out a copy of the project with its ticket, as FOLDER/copy."""
    return workspace.start(project.root, catalogue.find(project.root, ID), 1, folder / "copy", minutes=15)


def tracked(project: Project) -> Project:
    """Commit all files of a project: a copy has what Git tracks."""
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "All"],
    ):
        subprocess.run(["git", "-C", project.root, *command], check=True)
    return project
