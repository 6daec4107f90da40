"""Reads finished shards against their manifest and says what is wrong with them."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bert_tf.inputs.records import RecordError, read_records, verify_count
from data_prep.ahead import in_order
from data_prep.documents import Progress
from data_prep.options import DataError
from data_prep.scale import MANIFEST
from data_prep.shards import notes_folder

_READ_BYTES = 1 << 20


def verify(output: str, shards: int, threads: int = 1) -> list[str]:
    """What is wrong with the shards of a name; nothing where all are as they were written.

    Args:
      output: as in `ScaleRun`.
      shards: likewise.
      threads: that read.

    Raises:
      DataError: there is no manifest that could be compared with.
    """
    manifest = read_manifest(output, shards)
    folder = Path(output).parent
    total = sum(shard["size"] for shard in manifest["shards"])
    with tqdm(total=total, desc="verifying", unit="B", unit_scale=True) as bar:
        look = functools.partial(_faults_of, folder, progress=bar.update)
        shards_faults = in_order(threads, look, manifest["shards"])
        found = [fault for faults in shards_faults for fault in faults]
    return found + list(_strangers(output, shards))


def read_manifest(output: str, shards: int) -> dict[str, Any]:
    """The manifest of all shards of a name (errors as `verify`)."""
    path = notes_folder(output, shards) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if len(manifest["shards"]) != shards:
            raise ValueError(f"it lists {len(manifest['shards'])} shards")
        if not all({"name", "size", "sha256"} <= set(shard) for shard in manifest["shards"]):
            raise ValueError("a shard has no name, size or sha256")
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is not there: --output_file={output} with --shards={shards} is not complete. "
            "The same command without --verify goes on with it."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). Remove it; the same command without --verify "
            "writes it again."
        ) from error
    return dict(manifest)


def _faults_of(folder: Path, shard: dict[str, Any], progress: Progress) -> list[str]:
    path = folder / shard["name"]
    if not path.exists():
        progress(shard["size"])
        return [f"{path} is missing."]
    if path.stat().st_size != shard["size"]:
        return [
            f"{path} has {path.stat().st_size} bytes instead of {shard['size']}{_damage(path)}."
        ]
    if _sha256(path, progress) != shard["sha256"]:
        return [f"{path} has other bytes than were written{_damage(path)}."]
    try:
        verify_count(path)  # its own manifest, which training reads
    except RecordError as error:
        return [str(error)]
    return []


def _damage(path: Path) -> str:
    """Where the first record is that cannot be read, if there is one."""
    try:
        for _ in read_records(path):
            pass
    except RecordError as error:
        return f" ({str(error).partition('. ')[0].removeprefix(f'{path}: ')})"
    return ", though each of its records is whole"


def _sha256(path: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
            progress(len(data))
    return digest.hexdigest()


def _strangers(output: str, shards: int) -> Iterator[str]:
    """Shards of other layouts, which a glob on the name would read too."""
    own = f"-of-{shards:05d}"
    digits = "[0-9]" * 5
    names = glob.glob(f"{glob.escape(output)}-{digits}-of-{digits}")
    others = sorted(name for name in names if not name.endswith(own))
    if others:
        yield (
            f"{others[0]} and {len(others) - 1} more files are shards of another layout: a glob "
            f"on {output}-* would read them too. Remove them, or name {output}-*{own}."
        )
