"""Object stores on loopback, for tests: moto for s3://, gcp-storage-emulator for gs://."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from answers.stack import dotenv
from support import wait_for

BUCKET = "answers-config"


@contextmanager
def _running(program: str, arguments: list[str], port: int) -> Iterator[str]:
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, f"{program} ended with {process.returncode}"
        try:
            return httpx.get(url, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    try:
        wait_for(f"{program} to answer", answers, patience=60, pause=0.1)
        yield url
    finally:
        process.kill()
        process.wait()


@contextmanager
def s3() -> Iterator[str]:
    """A moto server with an empty bucket; gives the Airflow connection to it, as JSON."""
    port = dotenv.free_port(0)
    with _running("moto_server", ["-H", "127.0.0.1", "-p", str(port)], port) as url:
        assert httpx.put(f"{url}/{BUCKET}", trust_env=False).status_code == 200
        # An object store that is gone should be reported in seconds, not after botocore's minutes.
        patience = {"connect_timeout": 2, "read_timeout": 5, "retries": {"max_attempts": 1}}
        extra = {"endpoint_url": url, "region_name": "us-east-1", "config_kwargs": patience}
        yield json.dumps({"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra})


@contextmanager
def gs() -> Iterator[str]:
    """A gcp-storage-emulator with an empty bucket; gives the Airflow connection to it, as JSON."""
    port = dotenv.free_port(0)
    arguments = ["start", "--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", BUCKET]
    with _running("gcp-storage-emulator", arguments, port) as url:
        extra = {"project": "answers", "endpoint_url": url, "token": "anon"}
        yield json.dumps({"conn_type": "google_cloud_platform", "extra": extra})
