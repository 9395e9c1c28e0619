"""Packs and unpacks the bodies of HTTP messages, piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import lz4.frame
from backports import zstd

from answers.stack.warehouse.errors import QueryError


class _Lz4:
    """LZ4 with the interface of the others."""

    def __init__(self) -> None:
        self._packer = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        head = b"" if self._begun else self._packer.begin()
        self._begun = True
        return head + bytes(self._packer.compress(data))

    def flush(self) -> bytes:
        return self.compress(b"") + bytes(self._packer.flush())


PACKERS: dict[str, Callable[[], Any]] = {
    "lz4": _Lz4,
    "zstd": zstd.ZstdCompressor,
    "gzip": lambda: zlib.compressobj(wbits=31),
    "deflate": zlib.compressobj,
}
UNPACKERS: dict[str, Callable[[], Any]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
}


def chosen(accepted: str) -> str | None:
    """Return the first of a client's encodings that is known here.

    :param accepted: the header Accept-Encoding
    """
    names = (each.partition(";")[0].strip().lower() for each in accepted.split(","))
    return next((name for name in names if name in PACKERS), None)


async def unpacked(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """Unpack a body. It may consist of several frames, as clickhouse-connect packs each block.

    :raises QueryError: the encoding is unknown, or the body is not packed so
    """
    if encoding in ("", "identity"):
        async for chunk in chunks:
            yield chunk
        return
    if encoding not in UNPACKERS:
        raise QueryError(89, f"Unknown HTTP compression method: {encoding}", "UNKNOWN_COMPRESSION_METHOD")
    unpacker = UNPACKERS[encoding]()
    async for chunk in chunks:
        left = chunk
        while left:
            if unpacker.eof:
                unpacker = UNPACKERS[encoding]()
            try:
                piece = unpacker.decompress(left)
            except (RuntimeError, zlib.error, zstd.ZstdError) as error:
                raise QueryError(354, f"the body is not {encoding}: {error}", "INFLATE_FAILED") from error
            left = (unpacker.unused_data or b"") if unpacker.eof else b""
            if piece:
                yield piece
