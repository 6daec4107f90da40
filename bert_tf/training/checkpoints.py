"""Checkpoints of a run: written whole or not at all, the newest readable one found again.

A checkpoint is `model.ckpt-STEP` in the format of `conversion.tf1`: weights, Adam slots and
global_step under the release's names, so that the 2018 code continues from it, and a description
of the run under `bert_tf/`.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.conversion import tf1
from bert_tf.files import PARTIAL, write_text
from bert_tf.training.reports import warn

_NAME = re.compile(r"model\.ckpt-(\d+)\.(index|data-(\d{5})-of-(\d{5}))")
_DATA, _INDEX = (ending.removeprefix(".") for ending in tf1.BUNDLE_ENDINGS)


@dataclass(frozen=True)
class CheckpointStore:
    """The checkpoints of an output directory.

    Attributes:
        directory: The output directory.
        keep: How many of the newest checkpoints to keep.
    """

    directory: Path
    keep: int = 5

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"--keep_checkpoint_max must be at least 1, but is {self.keep}.")

    def steps(self) -> list[int]:
        """Steps of the checkpoints whose index and data, in any number of shards, are there."""
        return sorted(step for step, endings in self._found().items() if _is_whole(endings))

    def _found(self) -> dict[int, set[str]]:
        """The files' endings by step."""
        found: dict[int, set[str]] = {}
        for path in self.directory.glob("model.ckpt-*"):
            if match := _NAME.fullmatch(path.name):
                found.setdefault(int(match[1]), set()).add(match[2])
        return found

    def prefix(self, step: int) -> str:
        """Path prefix of the checkpoint of a step."""
        return str(self.directory / f"model.ckpt-{step}")

    def clean(self) -> None:
        """Removes what a killed run left behind: unfinished saves and half checkpoints.

        Shards without the rest are another program's, perhaps still on their way: they stay.
        """
        for path in self.directory.glob(f"{PARTIAL}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for step, endings in self._found().items():
            if endings in ({_DATA}, {_INDEX}):
                self._remove(step, endings)
        if self.directory.is_dir():
            self._write_state()

    def save(self, step: int, tensors: Mapping[str, Any]) -> str:
        """Saves a checkpoint; at no moment does an unfinished one bear its name.

        Args:
            step: Number of updates done.
            tensors: Checkpoint name to array or tensor.

        Returns:
            The checkpoint's prefix.
        """
        prefix = self.prefix(step)
        tf1.write_checkpoint(prefix, tensors)
        # Newer than the step of this run can only be what it found damaged when it resumed.
        newer = [self.prefix(other) for other in self.steps() if other > step]
        if newer:
            warn(
                f"Removing checkpoints beyond step {step}, which were damaged when this run "
                f"started: {', '.join(newer)}."
            )
        kept = [old for old in self.steps() if old <= step][-self.keep :]
        found = self._found()
        for old in set(self.steps()).difference(kept):
            self._remove(old, found[old])
        self._write_state()
        return prefix

    def _remove(self, step: int, endings: Collection[str]) -> None:
        for ending in sorted(endings, reverse=True):  # the index first: data alone is nothing
            Path(f"{self.prefix(step)}.{ending}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out of the directory; a process that dies lets go of it.

        Raises:
            RuntimeError: If another run trains there.
        """
        # The directory itself is locked, so that no lock file is left behind.
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeError(
                    f"One run at a time may train in a directory, but another run trains in "
                    f"--output_dir={self.directory}. Wait for its end, or name another directory."
                ) from None
            except OSError:  # Some network file systems lock no directories.
                pass
            yield
        finally:
            os.close(descriptor)

    def latest(self, names: Collection[str]) -> tuple[int, dict[str, np.ndarray]] | None:
        """The newest checkpoint that can be read whole, or None where there is none at all.

        Args:
            names: Checkpoint names that must be there.

        Returns:
            Its step, and its tensors.

        Raises:
            CheckpointError: If there are checkpoints, but none can be read; or the newest lacks
                one of `names`.
        """
        steps = self.steps()
        for step in reversed(steps):
            prefix = self.prefix(step)
            try:
                tensors = _read_all(prefix)
            except tf1.CheckpointError as error:
                warn(f"Skipping a damaged checkpoint. {error}")
                continue
            missing = sorted(set(names) - set(tensors))
            if missing:
                raise tf1.CheckpointError(
                    f"A checkpoint in --output_dir must hold all weights and global_step, and the "
                    f"optimizer's slots if training is to go on, but {prefix} is another: it lacks "
                    f"{', '.join(missing[:4])}{' and more' if len(missing) > 4 else ''}. Give it "
                    "as --init_checkpoint with another --output_dir to use its weights alone."
                )
            return step, tensors
        if steps:
            raise tf1.CheckpointError(
                f"None of the {len(steps)} checkpoints in {self.directory} can be read whole. "
                "Move them away to start anew, or restore them from a copy."
            )
        return None

    def _write_state(self) -> None:
        steps = self.steps()
        if not steps:
            return
        names = [f"model.ckpt-{step}" for step in steps]
        # The text form of CheckpointState, which TensorFlow 1 and 2 look for.
        lines = [f'model_checkpoint_path: "{names[-1]}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
        write_text(self.directory / "checkpoint", "".join(f"{line}\n" for line in lines))


def _is_whole(endings: Collection[str]) -> bool:
    shards = {ending.rpartition("-")[2] for ending in endings if ending != _INDEX}
    return _INDEX in endings and any(
        all(f"data-{shard:05d}-of-{count}" in endings for shard in range(int(count)))
        for count in shards
    )


def _read_all(prefix: str) -> dict[str, np.ndarray]:
    reader = tf1.open_checkpoint(prefix)
    names = reader.get_variable_to_shape_map()
    return {name: tf1.read_tensor(reader, prefix, name) for name in names}
