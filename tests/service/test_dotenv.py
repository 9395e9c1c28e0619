"""The secrets of the compose stack: made once, kept, complete, and nobody else's to read. Needs no Docker."""

import base64
import re
import socket
import subprocess
import sys

from answers.stack import dotenv
from support import PROJECT


def generate(path):
    script = PROJECT / "answers/stack/dotenv.py"
    return subprocess.run([sys.executable, "-I", script, path], check=True, capture_output=True, text=True).stdout


def test_the_first_run_makes_every_secret_and_shows_only_the_admin_password(tmp_path):
    output = generate(tmp_path / ".env")
    values = dotenv.read(tmp_path / ".env")
    assert set(values) == set(dotenv.KEYS)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / ".env"]
    assert len(base64.urlsafe_b64decode(values["FERNET_KEY"])) == 32
    secrets = {key: value for key, value in values.items() if key != "UI_PORT"}
    assert len(set(secrets.values())) == len(secrets)
    assert [key for key, value in secrets.items() if value in output] == ["ADMIN_PASSWORD"]


def test_a_second_run_changes_nothing_and_is_silent(tmp_path):
    generate(tmp_path / ".env")
    before = (tmp_path / ".env").read_bytes()
    assert generate(tmp_path / ".env") == ""
    assert (tmp_path / ".env").read_bytes() == before


def test_an_incomplete_file_is_completed_and_the_rest_of_it_kept(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# mine\nUI_PORT=1234\nADMIN_PASSWORD=chosen\nJWT_SECRET=\nWORKER_CONCURRENCY=2\n")
    path.chmod(0o644)
    output = generate(path)
    values = dotenv.read(path)
    assert (values["UI_PORT"], values["ADMIN_PASSWORD"], values["WORKER_CONCURRENCY"]) == ("1234", "chosen", "2")
    assert path.read_text().startswith("# mine\n")
    assert path.read_text().count("JWT_SECRET=") == 1
    assert values["JWT_SECRET"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "chosen" not in output


def test_a_taken_port_is_avoided():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert dotenv.free_port(port) != port


def test_example_and_compose_files_name_the_same_keys():
    compose = "".join((PROJECT / f"docker-compose{which}.yaml").read_text() for which in ("", ".rabbitmq"))
    example = (PROJECT / ".env.example").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", compose))
    optional = set(re.findall(r"\$\{(\w+):-", compose)) | {"COMPOSE_FILE", "COMPOSE_PROFILES"}  # compose's own
    assert required | {"UI_PORT"} == set(dotenv.KEYS)
    assert set(re.findall(r"^#?([A-Z_]+)=", example, re.M)) == required | optional
    assert re.findall(r"^[A-Z_]+=(.+)$", example, re.M) == []  # no value that someone could leave as it is
