"""Builds the package, installs it beside each Airflow that it supports, and runs its own tests there: `make test-matrix`.

    python packages/dag-integrity/matrix.py [VERSION ...] [-- ARGUMENTS OF PYTEST]

Each version gets a fresh environment in the user's cache, with the wheel, not this folder. The tests come from the source
distribution. Reports are written to results/junit-matrix-VERSION.xml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
RESULTS = PACKAGE.parents[1] / "results"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-dag-integrity" / "matrix"
# Airflow, and the Pythons that it supports and the package needs, the one to be preferred first.
VERSIONS = {
    "3.0": ("3.12", "3.11"),
    "3.1": ("3.12", "3.13", "3.11"),
    "3.2": ("3.13", "3.12", "3.11"),
    "3.3": ("3.13", "3.12", "3.11"),
}
OWN_FILES = ("dag_integrity/", "airflow_dag_integrity-")


@dataclass
class Environment:
    """A fresh environment with one Airflow and the built package."""

    airflow: str
    python: Path
    folder: Path
    megabytes_beyond_airflow: float


def find_python(versions: tuple[str, ...]) -> Path:
    """Find the first Python of `versions` that runs on this machine.

    :raises SystemExit: there is none
    """
    for version in versions:
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
        beside = Path(sysconfig.get_config_var("BINDIR") or "") / f"python{version}"
        for path in (beside, *sorted(pyenv.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")):
            code = "import sys, ssl, sqlite3; print(sys.version_info[:2])"
            if path and Path(path).exists():
                done = subprocess.run([str(path), "-c", code], capture_output=True, text=True)
                if done.stdout.strip() == f"({version.replace('.', ', ')})":
                    return Path(path)
    raise SystemExit(f"matrix: needs one of Python {', '.join(versions)}: install it, or put it on PATH")


def uv() -> str:
    """Find the program uv, the one of this environment first."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise SystemExit("matrix: needs uv: pip install uv")
    return found


def build(folder: Path) -> tuple[Path, Path]:
    """Build the wheel, and unpack the source distribution; returns both."""
    subprocess.run([uv(), "build", "--quiet", "--out-dir", str(folder), str(PACKAGE)], check=True)
    (wheel,) = folder.glob("*.whl")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "sdist", filter="data")
    (source,) = (folder / "sdist").iterdir()
    return wheel, source


def install(version: str, wheel: Path) -> Environment:
    """Make a fresh environment: first Airflow, then the wheel, whose size is what it takes beyond that."""
    base = find_python(VERSIONS[version])
    folder = CACHE / version
    subprocess.run(
        [uv(), "venv", "--quiet", "--clear", "--no-python-downloads", "--python", str(base), str(folder)], check=True
    )
    python = folder / "bin" / "python"
    pip = [uv(), "pip", "install", "--quiet", "--python", str(python)]
    airflow = [f"apache-airflow-core=={version}.*", "apache-airflow-providers-standard"]
    subprocess.run([*pip, *airflow], check=True)
    before = size(folder)
    subprocess.run([*pip, *airflow, str(wheel)], check=True)
    beyond = (size(folder) - before) / 2**20
    groups = ["--group", f"{PACKAGE / 'pyproject.toml'}:test"]
    subprocess.run([*pip, *groups], check=True)
    code = "from importlib.metadata import version, files; print(version('apache-airflow-core')); "
    code += "print(*files('airflow-dag-integrity'), sep='\\n')"
    exact, *files = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    foreign = [file for file in files if not file.startswith(OWN_FILES) and not file.endswith("bin/dag-integrity")]
    if foreign:
        raise SystemExit(f"matrix: the wheel installs more than its own package: {foreign}")
    return Environment(exact, python, folder, beyond)


def size(folder: Path) -> int:
    """Count the bytes of the files in an environment."""
    return sum(path.stat().st_size for path in (folder / "lib").rglob("*") if path.is_file() and not path.is_symlink())


def test(environment: Environment, version: str, source: Path, arguments: list[str]) -> int:
    """Run the tests; returns pytest's exit code."""
    RESULTS.mkdir(exist_ok=True)
    report = f"--junitxml={RESULTS / f'junit-matrix-{version}.xml'}"
    command = [str(environment.python), "-m", "pytest", "tests", "-q", "-p", "no:cacheprovider", report, *arguments]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(command, cwd=source, env=clean).returncode


def main() -> int:
    """Run the matrix; returns the exit code."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    versions, arguments = given[:cut] or list(VERSIONS), given[cut + 1 :]
    if unknown := [version for version in versions if version not in VERSIONS]:
        print(f"matrix: no such version: {', '.join(unknown)}; there are {', '.join(VERSIONS)}", file=sys.stderr)
        return 2
    rows, worst = [], 0
    with tempfile.TemporaryDirectory(prefix="dag-integrity-matrix-") as folder:
        wheel, source = build(Path(folder))
        for version in versions:
            start = time.monotonic()
            environment = install(version, wheel)
            print(f"=== Airflow {environment.airflow}, {environment.python.resolve()}", flush=True)
            code = test(environment, version, source, arguments)
            worst = max(worst, code)
            verdict = "passed" if code == 0 else f"failed ({code})"
            beyond = environment.megabytes_beyond_airflow
            rows.append(
                f"Airflow {environment.airflow:8} {verdict:12} {beyond:5.0f} MB beyond it, {time.monotonic() - start:5.0f} s"
            )
        print(f"=== wheel of {wheel.stat().st_size / 1024:.0f} KB", *rows, sep="\n")
    return worst


if __name__ == "__main__":
    sys.exit(main())
