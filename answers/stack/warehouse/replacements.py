"""Makes REPLACE PARTITION survive a kill: the old contents or the new ones, never both.

The engine gives the new parts their names on the disk first, and only then forgets the old parts, in memory; their files go
a moment later. What is killed in between finds both at its next start, and counts every row twice. (Tried: 1 of 11 kills.) So
each replacement is written down before it begins, and again when it is done, until the old files are gone. Before the engine
is opened, what is written there is put right among the files: a part is a folder PARTITION_FIRST_LAST_LEVEL, whose numbers
only grow.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from include.files import write_atomically

if TYPE_CHECKING:
    from answers.stack.warehouse.connection import Connection

STATEMENT = re.compile(
    rb"^\s*ALTER\s+TABLE\s+(\S+)\s+REPLACE\s+PARTITION\s+(.+?)\s+FROM\s+(\S+?)\s*;?\s*$", re.I | re.S
)
LOOK = """
SELECT partition_id, count(),
    (SELECT data_paths[1] FROM system.tables WHERE database = {database:String} AND name = {table:String}),
    (SELECT groupArray((name, max_block_number)) FROM system.parts
     WHERE active AND database = {database:String} AND table = {table:String}
       AND partition_id IN (
            SELECT partition_id FROM system.parts
            WHERE active AND database = {from_database:String} AND table = {from_table:String}
              AND replaceAll(partition, ', ', ',') = {partition:String}))
FROM system.parts
WHERE active AND database = {from_database:String} AND table = {from_table:String}
  AND replaceAll(partition, ', ', ',') = {partition:String}
GROUP BY partition_id
"""


@dataclass(frozen=True)
class Replacement:
    """A replacement of one partition.

    `folder` is the table's, `old` are the parts that go, `last` is their highest number, `new` is how many take their place.
    """

    folder: str
    partition: str
    old: list[str]
    last: int
    new: int
    done: bool = False

    def put_right(self) -> list[Path]:
        """Remove the parts that should not be there: the old ones, or new ones that are not all of them. Returns them."""
        name = re.compile(re.escape(self.partition) + r"_(\d+)_\d+_\d+(_\d+)?")
        parts = {path: found for path in Path(self.folder).glob("*") if (found := name.fullmatch(path.name))}
        new = [path for path, found in parts.items() if int(found[1]) > self.last]
        old = [path for path in parts if path not in new]
        complete = (
            self.done or len(new) >= self.new or not all((Path(self.folder) / part).exists() for part in self.old)
        )
        wrong = old if complete else new
        for path in wrong:
            aside = path.with_name(f"tmp_replaced_{path.name}")  # no part's name: gone for the engine, in one step
            path.rename(aside)
            shutil.rmtree(aside)
        return wrong

    def over(self) -> bool:
        """Tell whether the old files are gone."""
        return self.done and not any((Path(self.folder) / part).exists() for part in self.old)


class Replacements:
    """The replacements that are not over, one file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._alone = threading.Lock()

    def recover(self) -> list[str]:
        """Put right what a kill left. Before the engine is opened. Returns what was removed, in words."""
        said = []
        for file, replacement in self._noted():
            said += [f"removed {path}: a replaced part that a kill had left" for path in replacement.put_right()]
            file.unlink()
        return said

    def forget(self) -> None:
        """Forget the replacements that are over."""
        for file, replacement in self._noted():
            if replacement.over():
                file.unlink(missing_ok=True)

    @contextmanager
    def noted(self, connection: Connection, text: bytes) -> Iterator[None]:
        """Write the replacement down for as long as a kill could do harm. Any other statement is let through.

        Replacements are done one after the other: the numbers of another one's parts would be taken for this one's.
        """
        found = STATEMENT.match(text)
        if not found:
            yield
            return
        with self._alone:
            replacement = self._look(connection, *(group.decode() for group in found.groups()))
            if replacement is None:
                yield
                return
            file = self.folder / f"{uuid4().hex}.json"
            _write(file, replacement)
            try:
                yield
            except BaseException:
                file.unlink(missing_ok=True)  # the engine has put it right itself
                raise
            _write(file, replace(replacement, done=True))

    def _noted(self) -> Iterator[tuple[Path, Replacement]]:
        for file in sorted(self.folder.glob("*.json")):
            try:
                yield file, Replacement(**json.loads(file.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue  # another thread has just forgotten it

    def _look(self, connection: Connection, target: str, partition: str, source: str) -> Replacement | None:
        (database, table), (from_database, from_table) = (_names(connection, name) for name in (target, source))
        wanted = partition.replace(", ", ",")
        params = {
            "database": database,
            "table": table,
            "from_database": from_database,
            "from_table": from_table,
            "partition": wanted if wanted.startswith("(") else wanted.strip("'"),
        }
        rows = connection.run(LOOK, "JSONCompactEachRow", params).splitlines()
        if len(rows) != 1:
            return None  # no such partition: the engine says so
        id_, new, folder, old = json.loads(rows[0])
        last = max((int(number) for _, number in old), default=-1)
        return Replacement(folder, id_, [name for name, _ in old], last, int(new))


def _names(connection: Connection, name: str) -> tuple[str, str]:
    parts = [part.strip('`"') for part in name.split(".")]
    return (parts[0], parts[1]) if len(parts) == 2 else (connection.database(), parts[0])


def _write(file: Path, replacement: Replacement) -> None:
    write_atomically(file, json.dumps(asdict(replacement)), 0o600)
