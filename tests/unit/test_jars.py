"""The jars of the embedded broker: verified, never half there, from the repository that the user has."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from answers.stack import jars
from answers.stack.kafka import LOCK


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A Maven repository on loopback with two jars; gives (its folder, the lock)."""
    root, lock = tmp_path / "repository", tmp_path / "some.lock"
    lines = ["# two jars"]
    for name in ("one", "two"):
        file = root / "org" / "example" / name / "1.0" / f"{name}-1.0.jar"
        file.parent.mkdir(parents=True)
        file.write_bytes(name.encode() * 1000)
        lines.append(f"org.example:{name}:1.0 {hashlib.sha256(file.read_bytes()).hexdigest()}")
    lock.write_text("\n".join(lines) + "\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MAVEN_REPOSITORY", f"http://127.0.0.1:{server.server_port}/")
        yield root, lock
        server.shutdown()


def names(folder) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_jars_are_brought_once_and_a_damaged_one_again(repository, tmp_path, monkeypatch):
    _, lock = repository
    folder = tmp_path / "cache"
    assert [each.name for each in jars.fetch(lock, folder)] == ["one-1.0.jar", "two-1.0.jar"]
    (folder / "two-1.0.jar").write_bytes(b"damaged")
    jars.fetch(lock, folder)
    assert (folder / "two-1.0.jar").read_bytes() == b"two" * 1000
    monkeypatch.setenv("MAVEN_REPOSITORY", "http://127.0.0.1:1")
    assert len(jars.fetch(lock, folder)) == 2, "nothing to bring, nobody to ask"
    assert names(folder) == ["one-1.0.jar", "two-1.0.jar"]


def test_another_jar_than_the_locked_one_is_refused_and_nothing_of_it_stays(repository, tmp_path):
    root, lock = repository
    (root / "org" / "example" / "two" / "1.0" / "two-1.0.jar").write_bytes(b"something else")
    with pytest.raises(jars.JarsMissing, match="is not what the lock names"):
        jars.fetch(lock, tmp_path / "cache")
    assert "two-1.0.jar" not in names(tmp_path / "cache")
    assert not [name for name in names(tmp_path / "cache") if name.endswith(".part")]


def test_a_missing_jar_names_itself_and_the_way_out(repository, tmp_path):
    root, lock = repository
    (root / "org" / "example" / "one" / "1.0" / "one-1.0.jar").unlink()
    with pytest.raises(jars.JarsMissing, match=r"one/1\.0/one-1\.0\.jar could not be brought .*MAVEN_REPOSITORY"):
        jars.fetch(lock, tmp_path / "cache")


def test_the_repository_is_the_environments_then_mavens_mirror_then_ivys(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MAVEN_REPOSITORY", raising=False)
    ivys = jars.repository()
    assert ivys.startswith("https://")
    assert ivys.endswith("/maven2")
    settings = tmp_path / ".m2" / "settings.xml"
    settings.parent.mkdir()
    mirror = "<mirror><mirrorOf>{}</mirrorOf><url>https://mirror.example/maven/</url></mirror>"
    document = '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors>{}</mirrors></settings>'
    settings.write_text(document.format(mirror.format("other")))
    assert jars.repository() == ivys
    settings.write_text(document.format(mirror.format("central")))
    assert jars.repository() == "https://mirror.example/maven"
    monkeypatch.setenv("MAVEN_REPOSITORY", "https://given.example/m2/")
    assert jars.repository() == "https://given.example/m2"


def test_the_lock_pins_every_jar_by_version_and_digest():
    locked = jars.read_lock(LOCK)
    assert {(each.artifact, each.version) for each in locked} >= {("kafka_2.13", "4.4.0"), ("kafka-clients", "4.4.0")}
    assert all(len(each.digest) == 64 for each in locked)
    assert len({each.file for each in locked}) == len(locked)
