"""What a file on disk holds: plain bytes, gzip, zstd; archives and other encodings are refused."""

from __future__ import annotations

import gzip
import importlib
import zlib
from typing import IO, Any

from data_prep.options import DataError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PARQUET = b"PAR1"
# Other beginnings, what they are, and what to do.
_UNPACK = "Unpack it, and name the files that it holds"
_CONVERT = "Convert it to UTF-8, e.g. with iconv -f UTF-16 -t UTF-8"
_REFUSED = (
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"BZh", "compressed with bzip2", "Unpack it, or pack it with gzip or zstd"),
    (b"\xfd7zXZ\x00", "compressed with xz", "Unpack it, or pack it with gzip or zstd"),
    (b"\xff\xfe", "UTF-16 or UTF-32 text", _CONVERT),
    (b"\xfe\xff", "UTF-16 text", _CONVERT),
)
_TAR_AT, _TAR = 257, b"ustar"
_LOOK = 512
_PACKED_BYTES = 1 << 12  # what so few bytes unpack to fits into memory, whoever made them


def needed(module: str, purpose: str) -> Any:
    """An optional package; DataError that says how to get it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise DataError(
            f"{purpose} needs the package {package}, which is not installed. "
            f"Get it with: pip install {package} (or pip install 'bert-tf[corpora]')."
        ) from error


def beginning(path: str) -> bytes:
    """The first bytes of a file as they lie on disk."""
    with open(path, "rb") as file:
        return file.read(_LOOK)


def unpacked(path: str, file: IO[bytes]) -> Any:
    """A stream of the text in an open file, by its first bytes, whatever its name.

    Raises:
      DataError: an archive, another compression or encoding; zstandard is missing.
    """
    start = file.read(_LOOK)
    file.seek(0)
    if start.startswith(_GZIP):
        stream: Any = gzip.GzipFile(fileobj=file)
    elif start.startswith(_ZSTD):
        stream = _Zstd(needed("zstandard", f"Reading {path}"), file)
    else:
        _refuse(path, start)
        return file
    return _Checked(path, stream)


class _Zstd:
    """Unpacks zstd; unlike the package's own stream, it notices that a file is cut."""

    def __init__(self, module: Any, file: IO[bytes]) -> None:
        self._module, self._file = module, file
        self._frame = module.ZstdDecompressor().decompressobj()

    def read(self, size: int) -> bytes:
        parts, held = [], 0
        while held < size:
            data = self._frame.unused_data if self._frame.eof else b""
            data = data or self._file.read(_PACKED_BYTES)
            if not data:
                if not self._frame.eof:
                    raise EOFError("it ends in the middle")
                break
            if self._frame.eof:  # one file may hold several frames
                self._frame = self._module.ZstdDecompressor().decompressobj()
            parts.append(self._frame.decompress(data))
            held += len(parts[-1])
        return b"".join(parts)


class _Checked:
    """An unpacked stream, whose own beginning is looked at too: a tar.gz is an archive."""

    def __init__(self, path: str, stream: Any) -> None:
        self._path, self._stream, self._begun = path, stream, False

    def read(self, size: int) -> bytes:
        # A stream may give less than it has: only the end gives nothing.
        data = bytes(self._stream.read(size))
        if not self._begun:
            _refuse(self._path, data[:_LOOK])
            self._begun = True
        return data


def _refuse(path: str, start: bytes) -> None:
    found = [(kind, help_) for magic, kind, help_ in _REFUSED if start.startswith(magic)]
    if start[_TAR_AT:].startswith(_TAR):
        found.append(("a tar archive", _UNPACK))
    if start.startswith(PARQUET):
        found.append(("Parquet, not lines of text", "Drop --input_format, or set it to parquet"))
    for kind, way_out in found:
        raise DataError(f"{path}: is {kind}. {way_out}.")


def read_some(path: str, stream: Any, size: int) -> bytes:
    """At most `size` bytes, nothing at the end; DataError where the packed data is damaged."""
    try:
        return bytes(stream.read(size))
    except Exception as error:
        packed = isinstance(error, EOFError | zlib.error | gzip.BadGzipFile)
        if not packed and not type(error).__module__.startswith("zstandard"):
            raise
        kind = "zstd" if beginning(path).startswith(_ZSTD) else "gzip"
        raise DataError(
            f"{path}: the {kind} data is cut or damaged ({error}). Copy it again."
        ) from error
