"""Reads objects by their address (file://, s3://, gs://), through Airflow's ObjectStoragePath."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk import Connection, ObjectStoragePath

from plugins.errors import SettingInvalid

if TYPE_CHECKING:
    from gcsfs.core import GCSFileSystem


def object_at(url: str) -> ObjectStoragePath:
    """Return the object at PROTOCOL://[CONNECTION@]BUCKET/KEY, or file:///PATH.

    s3:// is what the Amazon provider registers. gs:// would come with the Google provider, whose many libraries one
    small document does not justify: without it, gcsfs alone is attached as Airflow's file system for the connection.

    :raises SettingInvalid: the address has no protocol, or one that no installed provider knows
    """
    from airflow.sdk.io import attach, has_fs

    protocol, separator, _ = url.partition("://")
    if not separator:
        raise SettingInvalid(f"{url!r} is no address: write PROTOCOL://[CONNECTION@]BUCKET/KEY or file:///PATH")
    if protocol in ("gs", "gcs") and not has_fs(protocol):
        # Before the path is made: that would attach a file system which does not exist, for good.
        connection = urlsplit(url).netloc.rpartition("@")[0] or None
        attach(protocol, conn_id=connection, fs=_google_file_system(connection))
    elif not has_fs(protocol):
        raise SettingInvalid(f"{url}: no installed provider knows {protocol}://")
    return ObjectStoragePath(url)


def _google_file_system(connection: str | None) -> GCSFileSystem:
    """Make Google's file system as a connection describes it; without one, with the credentials that the machine has.

    Of the connection's extra: `project`, `endpoint_url` (of an emulator) and `token` as gcsfs takes it.
    """
    # Not gcsfs.GCSFileSystem, which first asks for the bucket's kind over gRPC: for a minute, where there is only REST.
    from gcsfs.core import GCSFileSystem

    options = Connection.get(connection).extra_dejson if connection else {}
    chosen = {name: options[name] for name in ("project", "endpoint_url", "token") if name in options}
    return GCSFileSystem(**chosen, use_listings_cache=False, skip_instance_cache=True)
