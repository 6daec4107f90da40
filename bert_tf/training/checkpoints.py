"""Checkpoints of a run: written whole or not at all, the newest readable one found again.

A checkpoint is `model.ckpt-STEP` in the format of `conversion.tf1`: weights, Adam slots and
global_step under the release's names, so that the 2018 code continues from it, and a description
of the run under `bert_tf/`.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.conversion import tf1
from bert_tf.files import PARTIAL, write_text
from bert_tf.training.reports import warn

_NAME = re.compile(r"model\.ckpt-(\d+)\.(index|data-00000-of-00001)")


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
        """Steps of the checkpoints of which both files are there, ascending."""
        found: dict[int, set[str]] = {}
        for path in self.directory.glob("model.ckpt-*"):
            if match := _NAME.fullmatch(path.name):
                found.setdefault(int(match[1]), set()).add(match[2])
        return sorted(step for step, kinds in found.items() if len(kinds) == 2)

    def prefix(self, step: int) -> str:
        """Path prefix of the checkpoint of a step."""
        return str(self.directory / f"model.ckpt-{step}")

    def clean(self) -> None:
        """Removes what a killed run left behind: unfinished saves and half checkpoints."""
        for path in self.directory.glob(f"{PARTIAL}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        whole = set(self.steps())
        for path in self.directory.glob("model.ckpt-*"):
            match = _NAME.fullmatch(path.name)
            if match and int(match[1]) not in whole:
                path.unlink()
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
        steps = [old for old in self.steps() if old <= step][-self.keep :]
        for old in set(self.steps()).difference(steps):
            for ending in reversed(tf1.BUNDLE_ENDINGS):
                Path(self.prefix(old) + ending).unlink(missing_ok=True)
        self._write_state()
        return prefix

    def latest(self, names: Mapping[str, Any]) -> tuple[int, dict[str, np.ndarray]] | None:
        """The newest checkpoint that can be read whole, or None where there is none at all.

        Args:
            names: Checkpoint names that must be there (values are not used).

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
                    f"To resume from {prefix} it must hold weights, optimizer slots and "
                    f"global_step, but it lacks {', '.join(missing[:4])}"
                    f"{' and more' if len(missing) > 4 else ''}. Give it as --init_checkpoint "
                    "with another --output_dir to start from its weights alone."
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


def _read_all(prefix: str) -> dict[str, np.ndarray]:
    reader = tf1.open_checkpoint(prefix)
    names = reader.get_variable_to_shape_map()
    return {name: tf1.read_tensor(reader, prefix, name) for name in names}
