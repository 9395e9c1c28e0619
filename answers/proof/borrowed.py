"""Lends a copy of the project this environment: its packages, and commands that mean the copy's code."""

import json
import os
import sys
import sysconfig
import venv
from pathlib import Path

from answers.checkout import checkout_of
from answers.stack import preflight

FIRST = "a0_copy.pth"  # Python reads .pth files in the order of their names
# Runs the lender's script of the same name with the copy's interpreter. The shell looks for it in its own folder, because a copy
# may be moved, and its path may have a blank.
DISPATCHER = """#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
' '''
import runpy
import sys
from pathlib import Path

runpy.run_path(str(Path({commands!r}, Path(sys.argv[0]).name)), run_name="__main__")
"""


def lend_environment(copy: Path) -> None:
    """Make `.venv` of a copy from the environment of this process. It takes 0.1 s and 64 KB: it has no package of its own.

    `answers`, `python -m pytest` and `make test` in the copy then run the copy's code on this environment's packages.
    `make setup` in the copy leaves it alone while this environment and the copy's lock are as they were.

    :param copy: root of a copy of this project whose requirements.txt is the one that this environment was made from.
    """
    folder = copy / ".venv"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    lenders = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages") and _holds_any(path)]
    sources = [Path(), *(source for lender in lenders for source in _sources(Path(lender)))]
    own = [os.path.relpath(copy / source, packages) for source in sources]
    (packages / FIRST).write_text("\n".join([*dict.fromkeys(own), *lenders]) + "\n", encoding="utf-8")
    for lender in lenders:
        for file in Path(lender).glob("*.pth"):
            if not _sources_of(file) and not (packages / file.name).exists():
                (packages / file.name).write_bytes(file.read_bytes())
    for lender in lenders:
        _lend_commands(Path(lender).parents[2], folder / "bin")
    packages_now = {lender: preflight.stamp_of(Path(lender)) for lender in lenders}
    lent = {"packages": packages_now, "lock": preflight.lock_digest(copy)}
    (folder / preflight.LENT).write_text(json.dumps(lent) + "\n", encoding="utf-8")


def _holds_any(packages: str) -> bool:
    """Tells whether a folder has packages. The folder of a borrowed environment has none."""
    return any(Path(packages).glob("*.dist-info"))


def _sources(packages: Path) -> list[Path]:
    """List the folders of this project that are installed as editable, relative to its root."""
    return [source for file in sorted(packages.glob("*.pth")) for source in _sources_of(file)]


def _sources_of(file: Path) -> list[Path]:
    """List the folders of a checkout that a .pth file puts on the path, relative to the checkout's root."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    paths = [(file.parent / line).resolve() for line in lines if line and not line.startswith(("#", "import "))]
    found = [(path, checkout_of(path)) for path in paths if path.is_dir()]
    return [path.relative_to(checkout) for path, checkout in found if checkout]


def _lend_commands(lender: Path, folder: Path) -> None:
    """Links the commands of an environment. Commands in Python run through the dispatcher, so with the copy's code."""
    if not (lender / "pyvenv.cfg").exists():
        return  # these are the commands of the whole machine, not of an environment
    dispatcher = folder / ".lent"
    dispatcher.write_text(DISPATCHER.format(commands=str(lender / "bin")), encoding="utf-8")
    dispatcher.chmod(0o755)
    for command in (lender / "bin").iterdir():
        if command.is_file() and not command.name.startswith((".", "python")) and not (folder / command.name).exists():
            (folder / command.name).symlink_to(dispatcher.name if _is_python(command) else command)


def _is_python(command: Path) -> bool:
    with command.open("rb") as file:
        start = file.read(512)
    return start.startswith(b"#!") and b"python" in b"".join(start.splitlines()[:2])
