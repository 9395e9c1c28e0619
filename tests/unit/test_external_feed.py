"""The external feed: looking at it, and the sensor and trigger that wait for it, against real HTTP and real files."""

import asyncio
import json
import logging
import os
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.external_feed import FeedBroken, look_once, pause_after, read_feed, without_secrets
from plugins.triggers.external_feed import ExternalFeedTrigger

HEADER = "carrier,name"
GOOD = b"carrier,name\nAA,American Airlines Inc.\n"


@contextmanager
def serving(answers):
    """A server whose n-th answer is answers[n] = (status, headers, body), the last one again and again; a call may block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(time.monotonic())
            answer = answers[min(len(asked), len(answers)) - 1]
            status, headers, body = answer() if callable(answer) else answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/airlines.csv", asked
        finally:
            server.shutdown()
            thread.join()


def trigger(feed, seconds=20.0, began=None, **changes):
    began = began or datetime.now(UTC)
    arguments = {
        "feed": str(feed),
        "first_line": HEADER,
        "began": began.isoformat(),
        "until": (began + timedelta(seconds=seconds)).isoformat(),
        "first_pause": 0.01,
        "longest_pause": 0.02,
    }
    return ExternalFeedTrigger(**(arguments | changes))


def fire(waiting) -> dict:
    async def first():
        async with asyncio.timeout(10):
            return await anext(waiting.run())

    return asyncio.run(first()).payload


@pytest.mark.claim("2.5")
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((404, {}, b""), "answer 404"),
        ((503, {}, b""), "answer 503"),
        ((429, {"Retry-After": "7"}, b""), "answer 429"),
        ((200, {}, b""), "empty"),
    ],
)
def test_what_may_still_come_is_looked_at_again(answer, found):
    with serving([answer]) as (feed, _):
        seen = asyncio.run(look_once(feed, HEADER))
    assert (seen.there, seen.found) == (False, found)
    assert seen.again_after == (7 if answer[1] else 0)


@pytest.mark.claim("2.5")
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((401, {}, b""), "answer 401"),
        ((403, {}, b""), "answer 403"),
        ((410, {}, b""), "answer 410"),
        ((400, {}, b""), "answer 400"),
        ((200, {}, b"<html>please sign in</html>"), "the first line should be 'carrier,name', is '<html>please"),
        ((200, {}, b"\x00\xff\x00"), "the first line should be"),
    ],
)
def test_what_waiting_cannot_mend_is_broken(answer, found):
    with serving([answer]) as (feed, _), pytest.raises(FeedBroken) as error:
        asyncio.run(look_once(feed, HEADER))
    assert found in str(error.value)


@pytest.mark.claim("2.5")
def test_a_feed_that_is_there_is_seen_over_http_and_as_a_file(tmp_path):
    file = tmp_path / "airlines.csv"
    for address in (str(file), f"file://{file}"):
        file.unlink(missing_ok=True)
        assert asyncio.run(look_once(address, HEADER)).found == "No such file or directory"
        file.write_bytes(b"")
        assert asyncio.run(look_once(address, HEADER)).found == "empty"
        file.write_bytes(b"\xef\xbb\xbf" + GOOD)
        assert asyncio.run(look_once(address, HEADER)).there
    with pytest.raises(FeedBroken, match="directory"):
        asyncio.run(look_once(str(tmp_path), HEADER))
    moved = [(302, {"Location": "/elsewhere"}, b""), (200, {}, GOOD)]
    with serving(moved) as (feed, asked):
        assert asyncio.run(look_once(feed, HEADER)).there
        assert len(asked) == 2
        assert read_feed(feed) == GOOD.decode()
    with serving([(403, {}, b"")]) as (feed, _), pytest.raises(FeedBroken, match="answer 403"):
        read_feed(feed)
    with pytest.raises(OSError, match="ConnectError"):
        read_feed(feed)
    assert asyncio.run(look_once(feed, HEADER)).found == "ConnectError"
    with pytest.raises(FeedBroken):
        asyncio.run(look_once("gopher://nowhere/x", HEADER))


async def ticks_while_looking(address: str) -> tuple[int, str]:
    """Return how often the event loop came round while something was looked at, and what was found."""
    ticks, looking = 0, asyncio.create_task(look_once(address, HEADER, patience=0.5))
    while not looking.done():
        await asyncio.sleep(0.01)
        ticks += 1
    return ticks, (await looking).found


@pytest.mark.claim("2.5")
def test_a_server_that_does_not_answer_does_not_block_the_event_loop():
    release = threading.Event()

    def no_answer():
        release.wait(30)
        return 200, {}, GOOD

    with serving([no_answer]) as (feed, _):
        ticks, found = asyncio.run(ticks_while_looking(feed))
        release.set()
    assert found == "no answer in 0.5 s"
    assert ticks > 10


@pytest.mark.claim("2.5")
def test_a_slow_file_system_does_not_block_the_event_loop(tmp_path):
    """Opening a pipe blocks until somebody writes to it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Timer(1.5, pipe.write_bytes, [b""])
    writer.start()
    ticks, found = asyncio.run(ticks_while_looking(str(pipe)))
    writer.join()
    assert found == "no answer in 0.5 s"
    assert ticks > 10


@pytest.mark.claim("2.5")
def test_pauses_double_up_to_the_longest_with_a_random_half():
    spread = {looks: [pause_after(looks, 5, 60) for _ in range(300)] for looks in (1, 2, 3, 10, 5000)}
    for looks, full in ((1, 5), (2, 10), (3, 20), (10, 60), (5000, 60)):
        assert full / 2 <= min(spread[looks]) < full * 0.6
        assert full * 0.9 < max(spread[looks]) <= full


@pytest.mark.claim("2.5")
def test_the_trigger_fires_once_the_feed_is_there():
    with serving([(404, {}, b""), (503, {}, b""), (200, {}, GOOD)]) as (feed, asked):
        event = fire(trigger(feed))
    assert (event["outcome"], len(asked)) == ("there", 3)


@pytest.mark.claim("2.5")
def test_the_trigger_waits_as_long_as_the_other_side_asks():
    with serving([(429, {"Retry-After": "1"}, b""), (200, {}, GOOD)]) as (feed, asked):
        assert fire(trigger(feed))["outcome"] == "there"
    assert asked[1] - asked[0] >= 1


@pytest.mark.claim("2.5")
def test_the_trigger_ends_at_its_instant_even_if_the_pause_is_longer():
    began = datetime.now(UTC)
    with serving([(404, {}, b"")]) as (feed, asked):
        event = fire(trigger(feed, 0.6, first_pause=60.0, longest_pause=60.0))
    assert (datetime.now(UTC) - began).total_seconds() < 10
    assert event["outcome"] == "late"
    assert event["found"] == "looks: 2, the last one: answer 404", "it looks once more at the end"
    assert len(asked) == 2


@pytest.mark.claim("2.5")
def test_a_broken_feed_ends_the_waiting_at_once():
    with serving([(404, {}, b""), (403, {}, b"")]) as (feed, _):
        assert fire(trigger(feed))["outcome"] == "broken"


@pytest.mark.claim("2.5")
def test_the_trigger_comes_back_from_its_serialised_form_with_the_same_clock():
    """As Airflow stores it: encoded, encrypted, decrypted; made anew after a restart, it does not begin to wait again."""
    from airflow._shared.module_loading import import_string
    from airflow.models.trigger import Trigger

    began = datetime.now(UTC) - timedelta(hours=2)
    path, arguments = trigger("/nowhere", 7200 - 0.3, began=began).serialize()
    assert path == "plugins.triggers.external_feed.ExternalFeedTrigger"
    json.dumps(arguments)
    again = import_string(path)(**Trigger(classpath=path, kwargs=arguments).kwargs)
    assert again.serialize() == (path, arguments)
    event = fire(again)
    assert event["outcome"] == "late"
    assert 7199 < event["waited"] < 7215


@pytest.mark.claim("2.5")
def test_a_triggerer_that_was_away_at_the_end_looks_once_more(tmp_path):
    file = tmp_path / "airlines.csv"
    file.write_bytes(GOOD)
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    assert fire(trigger(file, 3600, began=long_ago))["outcome"] == "there"
    file.unlink()
    event = fire(trigger(file, 3600, began=long_ago))
    assert (event["outcome"], event["found"]) == ("late", "looks: 1, the last one: No such file or directory")


def test_no_address_is_logged_with_its_credentials(caplog):
    address = "https://reader:hunter2@feeds.example:8443/airlines.csv?token=abc123#part"
    assert without_secrets(address) == "https://feeds.example:8443/airlines.csv"
    with caplog.at_level(logging.DEBUG), serving([(404, {}, b""), (200, {}, GOOD)]) as (feed, _):
        secretive = feed.replace("http://", "http://reader:hunter2@") + "?token=abc123"
        assert fire(trigger(secretive))["outcome"] == "there"
    mine = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpcore", "asyncio"))]
    assert not any("hunter2" in line or "abc123" in line for line in mine)
