"""Feeds parsers any text: each gives its result or its own error, never another one. Documents, messages, requests."""

import copy
import json
import socket
import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from answers.proof import catalog
from dag_integrity import config as integrity
from include import refunds
from include.chunks import config as partitions
from include.fleet import model as fleet
from include.flight_status import events
from support import catching

FLEET = Path(fleet.__file__).with_name("fleet.yaml").read_text()
PARTITIONS = partitions.DEFAULT.read_bytes()
EVENT = b'{"event_id": "a", "flight": "2013-06-13/UA1545/EWR", "status": "landed", "at": "2013-06-13T09:00:00Z"}'
QUESTION = (catalog.ROOT / "include/questions/q09.yaml").read_text()
INTEGRITY = '[tool.dag-integrity]\nknown-pools = ["a"]\nimport-budget = 6.0\nper-file-ignores = {"x.py" = ["AA1"]}\n'

often = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def bent_text(draw, good: bytes) -> bytes:
    """Return a good text with a few stretches replaced by arbitrary bytes, by another stretch of itself, or by nothing."""
    data = good
    for _ in range(draw(st.integers(1, 3))):
        start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        other = draw(st.integers(0, len(good)))
        new = draw(st.one_of(st.binary(max_size=8), st.just(good[other : other + length]), st.sampled_from(ODD)))
        data = data[:start] + new + data[start + length :]
    return data


ODD = [
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"? [a]: b\n",
    b"{",
    b"]",
    b"&a [*a]",
    b"<<: 1\n",
    b"!!binary x",
    b"1e999",
    b"\t",
]


@st.composite
def swapped_values(draw, good):
    """Return a good document in which one value, wherever it stands, is another one."""
    document = copy.deepcopy(good)
    at, places = document, []

    def walk(value, path):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((*path, key))
            if isinstance(inner, dict | list):
                walk(inner, (*path, key))

    walk(document, ())
    *parents, last = draw(st.sampled_from(places))
    for step in parents:
        at = at[step]
    at[last] = draw(json_values)
    return document


def any_of(good: bytes, document=None, dump=lambda value: json.dumps(value).encode()):
    """Arbitrary bytes, bent ones, and documents with another value."""
    return st.one_of(
        st.binary(max_size=60), bent_text(good), *([swapped_values(document).map(dump)] if document else [])
    )


def outcome(parse, refusal):
    """(What is parsed, None), or (None, the text of the parser's own error). Any other error is the test's."""
    try:
        return parse(), None
    except refusal as error:
        return None, str(error)


@often
@given(any_of(PARTITIONS, json.loads(PARTITIONS)))
def test_a_document_of_the_partitions(data):
    found, why = outcome(lambda: partitions.parse_config(data, "s3://x"), partitions.ConfigInvalid)
    assert isinstance(found, partitions.Config) or "s3://x" in why


@often
@given(st.none() | any_of(EVENT, json.loads(EVENT)))
def test_a_message_of_kafka(value):
    event, why = outcome(lambda: events.parse_event(value), events.BadEvent)
    assert event.at.tzinfo if event else 0 < len(why) < 600


@often
@example(data=b"? [a]: b")
@example(data=b"? {a: 1}\n: b")
@given(data=any_of(FLEET.encode(), yaml.safe_load(FLEET), lambda value: yaml.safe_dump(value).encode()))
def test_the_yaml_of_the_fleet(data, tmp_path):
    file = tmp_path / "fleet.yaml"
    file.write_bytes(data)
    found, why = outcome(lambda: fleet.load_fleet(file), fleet.FleetError)
    assert found.members if found else str(file) in why


@often
@given(data=any_of(QUESTION.encode(), yaml.safe_load(QUESTION), lambda value: yaml.safe_dump(value).encode()))
def test_the_yaml_of_a_question(data, tmp_path):
    file = tmp_path / catalog.QUESTIONS / "q09.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    found, why = outcome(lambda: catalog.load_questions(tmp_path), catalog.CatalogError)
    assert len(found) == 1 if found else "q09.yaml" in why or "occurs twice" in why


@often
@given(data=any_of(INTEGRITY.encode()))
def test_the_configuration_of_the_checker(data, tmp_path):
    (tmp_path / "pyproject.toml").write_bytes(data)
    found, why = outcome(lambda: integrity.load(tmp_path, {}).config, integrity.ConfigError)
    assert found.import_budget > 0 if found else "pyproject.toml" in why


@often
@given(
    st.text(max_size=40)
    | st.datetimes().map(str)
    | bent_text(b"2013-07-03T12:00:00-04:00").map(lambda data: data.decode("latin-1"))
)
def test_the_clock_of_a_run(text):
    found, why = outcome(lambda: refunds.make_clock(text), ValueError)
    assert found().tzinfo if found else why


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with catching(tmp_path_factory.mktemp("fuzz")) as server:
        yield server


def ask(server, request: bytes) -> bytes:
    """Return what the server answers to these bytes, after which nothing more is sent."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


POST = b'POST /slack HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{"text": "a"}'
PUT = b'PUT /behaviour HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\n{"path": "/nowhere", "code": 429}'


@often
@given(request=bent_text(POST) | bent_text(PUT) | st.binary(min_size=1, max_size=60))
def test_a_webhook(server, request, capfd):
    """A request is taken or refused; the thread that serves it does not die of it, and the next one is served."""
    server.behaviour = {}
    told = ask(server, request)
    assert not told or told.startswith((b"HTTP/1.", b"<!DOCTYPE", b"<!doctype")), told[:80]
    assert ask(server, b"GET /health HTTP/1.0\r\n\r\n").endswith(b'{"status": "ok"}')
    assert "Traceback" not in capfd.readouterr().err
    assert threading.active_count() < 60
