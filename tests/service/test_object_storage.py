"""The document at file://, s3:// and gs://, by real file systems against servers on loopback."""

import pytest

from include.chunks.config import DEFAULT
from include.chunks.document import ConfigUnreadable, choose_version
from plugins.object_storage import object_at
from support import object_stores

SCHEMES = ["file", "s3", "gs"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The address of a document in each store."""
    with object_stores.s3() as s3, object_stores.gs() as gs, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_UNIT_S3", s3)
        patch.setenv("AIRFLOW_CONN_UNIT_GS", gs)
        yield {
            "file": (tmp_path_factory.mktemp("config") / "q03.json").as_uri(),
            "s3": f"s3://unit_s3@{object_stores.BUCKET}/q03.json",
            "gs": f"gs://unit_gs@{object_stores.BUCKET}/q03.json",
        }


def put_object(url: str, data: bytes) -> None:
    with object_at(url).open("wb") as stream:
        stream.write(data)


@pytest.mark.claim("3.4")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_document_is_read_changed_broken_and_taken_away_in_every_store(stores, scheme, tmp_path):
    url = stores[scheme]
    good = DEFAULT.read_bytes()
    put_object(url, good)
    first = choose_version(object_at(url), tmp_path)
    assert (first["version"], first["url"]) == ("current", url)
    put_object(url, good.replace(b'"daily_delays"', b'"flights"'))
    broken = choose_version(object_at(url), tmp_path)
    assert (broken["version"], broken["digest"]) == ("last good", first["digest"])
    assert broken["why"].startswith(f"{url} has an error:\n  $.layers: contains flights twice")
    put_object(url, good.replace(b"130", b"140"))
    changed = choose_version(object_at(url), tmp_path)
    assert (changed["version"], changed["document"]["thresholds"]["spark_from_rows"]) == ("current", 140)
    object_at(url).unlink()
    gone = choose_version(object_at(url), tmp_path)
    assert (gone["version"], gone["digest"]) == ("last good", changed["digest"])
    assert gone["why"].startswith(f"{url} cannot be read: there is no such object")


@pytest.mark.claim("3.4")
def test_a_store_that_is_down_leaves_the_last_good_version_in_force(monkeypatch, tmp_path):
    with object_stores.s3() as connection:
        monkeypatch.setenv("AIRFLOW_CONN_SOON_GONE", connection)
        url = f"s3://soon_gone@{object_stores.BUCKET}/q03.json"
        put_object(url, DEFAULT.read_bytes())
        before = choose_version(object_at(url), tmp_path)
    after = choose_version(object_at(url), tmp_path)
    assert (after["version"], after["digest"]) == ("last good", before["digest"])
    assert "cannot be read: EndpointConnectionError" in after["why"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_huge_object_is_not_read_to_its_end(stores, scheme, tmp_path, monkeypatch):
    from include.chunks import document

    url = stores[scheme]
    put_object(url, b" " * 3_000_000)
    assert len(document.read_bytes(object_at(url))) == document.LARGEST_DOCUMENT + 1
    object_at(url).unlink()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/tmp/q03.json", "is no address"),
        ("", "is no address"),
        ("s4://bucket/q03.json", "no installed provider knows s4://"),
    ],
)
def test_an_address_without_a_known_protocol_is_refused(url, says):
    with pytest.raises(ValueError, match=says):
        object_at(url)


def test_an_unknown_bucket_is_named(stores, tmp_path):
    with pytest.raises(ConfigUnreadable, match=r"s3://unit_s3@nobody/q03\.json cannot be read"):
        choose_version(object_at("s3://unit_s3@nobody/q03.json"), tmp_path)
