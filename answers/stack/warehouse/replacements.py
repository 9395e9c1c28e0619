"""Makes REPLACE PARTITION survive a kill: the old contents or the new ones, never both.

The engine gives the new parts their names on the disk first, and only then forgets the old parts, in memory; their files go
a moment later. What is killed in between finds both at its next start, and counts every row twice. (Tried: 1 of 11 kills.) So
each replacement is noted before it begins. The note is renamed when it is done, which needs no room on the disk, and is kept
until the old files are gone. Before the engine is opened, what is noted is put right among the files: a part is a folder
PARTITION_FIRST_LAST_LEVEL, whose numbers only grow.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from include.files import write_atomically

if TYPE_CHECKING:
    from answers.stack.warehouse.connection import Connection

STATEMENT = re.compile(
    rb"^\s*ALTER\s+TABLE\s+(\S+)\s+REPLACE\s+PARTITION\s+(.+?)\s+FROM\s+(\S+?)\s*;?\s*$", re.I | re.S
)
UNDER_WAY, DONE = ".json", ".done"  # how the name of a note ends
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

    def put_right(self, done: bool) -> list[Path]:
        """Remove the parts that should not be there: the old ones, or new ones that are not all of them. Returns them."""
        name = re.compile(re.escape(self.partition) + r"_(\d+)_(\d+)_\d+(_\d+)?")
        parts = {path: found for path in Path(self.folder).glob("*") if (found := name.fullmatch(path.name))}
        new = {path: int(found[2]) - int(found[1]) + 1 for path, found in parts.items() if int(found[1]) > self.last}
        old = [path for path in parts if path not in new]
        # Parts that were merged since count for as many as they were.
        complete = done or sum(new.values()) >= self.new or not all(map(Path.exists, self._old()))
        wrong = old if complete else list(new)
        for path in wrong:
            aside = path.with_name(f"tmp_replaced_{path.name}")  # no part's name: gone for the engine, in one step
            path.rename(aside)
            shutil.rmtree(aside)
        return wrong

    def over(self) -> bool:
        """Tell whether the old files are gone."""
        return not any(map(Path.exists, self._old()))

    def _old(self) -> Iterator[Path]:
        return (Path(self.folder) / part for part in self.old)


class Replacements:
    """The replacements that are not over, one file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._alone = threading.Lock()

    def recover(self) -> list[str]:
        """Put right what a kill left. Before the engine is opened. Returns what was removed, in words."""
        said = []
        for ending in (UNDER_WAY, DONE):
            for file, replacement in self._noted(ending):
                removed = replacement.put_right(ending == DONE)
                said += [f"removed {path}: a replaced part that a kill had left" for path in removed]
                file.unlink()
        for part in self.folder.glob(".*.part"):
            part.unlink()  # a note that was being written
        return said

    def forget(self) -> None:
        """Forget the replacements that are over."""
        for file, replacement in self._noted(DONE):
            if replacement.over():
                file.unlink(missing_ok=True)

    @contextmanager
    def noted(self, connection: Connection, text: bytes) -> Iterator[None]:
        """Note the replacement for as long as a kill could do harm. Any other statement is let through.

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
            file = self.folder / f"{uuid4().hex}{UNDER_WAY}"
            write_atomically(file, json.dumps(asdict(replacement)), 0o600)
            try:
                yield
            except BaseException:
                file.unlink(missing_ok=True)  # the engine has put it right itself
                raise
            file.rename(file.with_suffix(DONE))

    def _noted(self, ending: str) -> Iterator[tuple[Path, Replacement]]:
        for file in sorted(self.folder.glob(f"*{ending}")):
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
