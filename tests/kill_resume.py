"""Kills pretraining at random moments, restarts it, and compares the end bit for bit.

    python -m tests.kill_resume --kills 30

Trains the small golden configuration (dropout and shuffling on) with --deterministic once without
a kill and then, as often as the kills take, with SIGKILL during start-up, during training and
inside saving. Every life is the command run_pretraining, in a process forked after TensorFlow was
imported, which spares the import. Three minutes for 30 kills on two idle cores.
"""

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from bert_tf import flags, run_pretraining

GOLDENS = Path(__file__).parent / "goldens"
AIMS = ("start-up", "training", "training", "saving", "saving")
SECONDS_OF_TRAINING = 0.7  # the longest wait after the first step of a life
SECONDS_OF_SAVING = 0.002  # the longest wait after an unfinished save was seen
PARTIAL = re.compile(r"\.partial-|\.partial$|_temp|tempstate")


def arguments(directory: Path, steps: int, every: int) -> list[str]:
    """The command line of every life."""
    return [
        "run_pretraining",
        f"--input_file={GOLDENS}/records/default.tfrecord",
        f"--bert_config_file={GOLDENS}/bert_config.json",
        f"--output_dir={directory}",
        "--do_train",
        "--max_seq_length=64",
        "--max_predictions_per_seq=10",
        "--train_batch_size=16",
        "--learning_rate=1e-3",
        f"--num_train_steps={steps}",
        f"--num_warmup_steps={steps // 10}",
        f"--save_checkpoints_steps={every}",
        "--keep_checkpoint_max=3",
        "--deterministic",
    ]


def start(directory: Path, steps: int, every: int) -> int:
    """Starts the command in a forked process; its process id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        log = os.open(f"{directory}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = arguments(directory, steps, every)
        flags.launch(run_pretraining.define_flags, run_pretraining.main)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(process: int) -> int | None:
    """Exit status of a process; None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def wait_for(process: int, happened: Callable[[], bool]) -> int | None:
    """Waits for a moment; the exit status if the process ended before it."""
    while not happened():
        status = ended(process)
        if status is not None:
            return status
        time.sleep(0.0001)
    return None


def log_tail(directory: Path) -> str:
    """The last of what the lives of a run said."""
    return Path(f"{directory}.log").read_text(encoding="utf-8")[-3000:]


def changed_at(directory: Path) -> int:
    """When something was last made, renamed or removed in a folder; 0 where there is none."""
    return directory.stat().st_mtime_ns if directory.exists() else 0


def partial_files(directory: Path) -> list[str]:
    """Names of files and folders that no finished run may leave."""
    if not directory.exists():
        return []
    names = {path.name for path in directory.iterdir()}
    halves = [
        name
        for name in names
        if (match := re.fullmatch(r"(model\.ckpt-\d+)\.(index|data-.*)", name))
        and not {f"{match[1]}.index", f"{match[1]}.data-00000-of-00001"} <= names
    ]
    return sorted([name for name in names if PARTIAL.search(name)] + halves)


def whole_checkpoints(directory: Path) -> list[int]:
    """Steps of the checkpoints; every tensor of each is read."""
    steps = [int(path.stem.split("-")[1]) for path in directory.glob("model.ckpt-*.index")]
    for step in steps:
        read(directory / f"model.ckpt-{step}")
    return sorted(steps)


def read(prefix: Path) -> dict[str, bytes]:
    """The bytes of every tensor of a checkpoint."""
    reader = tf.train.load_checkpoint(str(prefix))
    names = reader.get_variable_to_shape_map()
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}


@dataclass
class Killer:
    """Runs lives and kills them; what it did is counted.

    Attributes:
        steps, every: Length of a run and distance of its checkpoints.
        draw: Source of the moments.
        start_up: Seconds from the start of a life to its first checkpoint, measured.
    """

    steps: int
    every: int
    draw: random.Random
    start_up: float = 0.0
    kills: int = 0
    hits: Counter[str] = field(default_factory=Counter)

    def straight(self, directory: Path) -> None:
        """A run without a kill."""
        began = time.monotonic()
        process = start(directory, self.steps, self.every)
        wait_for(process, lambda: bool(list(directory.glob("model.ckpt-*.index"))))
        self.start_up = time.monotonic() - began
        self._finish(process, directory)

    def killed(self, directory: Path, most: int) -> Iterator[str]:
        """A run with kills, up to `most` in all; a line for each. Ends when the run has ended."""
        for _ in range(most):
            process = start(directory, self.steps, self.every)
            aim = self.draw.choice(AIMS)
            status = self._await_moment(process, directory, aim)
            if status is None:
                os.kill(process, signal.SIGKILL)
                status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            if status == 0:
                return
            if status != -signal.SIGKILL:
                raise SystemExit(f"A life ended by itself with {status}:\n{log_tail(directory)}")
            self.kills += 1
            torn = partial_files(directory)
            hit = "saving" if torn else ("start-up" if aim == "start-up" else "training")
            self.hits[hit] += 1
            newest = max(whole_checkpoints(directory), default=0) if directory.exists() else 0
            yield f"aimed at {aim:<8}  hit {hit:<8}  whole up to step {newest:<4} {' '.join(torn)}"
        self._finish(start(directory, self.steps, self.every), directory)

    def _await_moment(self, process: int, directory: Path, aim: str) -> int | None:
        if aim == "start-up":
            until = time.monotonic() + self.draw.uniform(0.0, self.start_up)
            return wait_for(process, lambda: time.monotonic() >= until)
        # The folder itself changes inside saves only: files are made, renamed, cleaned away.
        changes = self.draw.randrange(3, 24) if aim == "saving" else 3
        for _ in range(changes):
            before = changed_at(directory)
            status = wait_for(process, lambda before=before: changed_at(directory) != before)
            if status is not None:
                return status
        if aim == "saving":
            status = wait_for(process, lambda: bool(partial_files(directory)))
            if status is not None:
                return status
        longest = SECONDS_OF_SAVING if aim == "saving" else SECONDS_OF_TRAINING
        until = time.monotonic() + self.draw.uniform(0.0, longest)
        return wait_for(process, lambda: time.monotonic() >= until)

    def _finish(self, process: int, directory: Path) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status:
            raise SystemExit(f"A run ended with {status}:\n{log_tail(directory)}")


def compare(expected: Path, actual: Path, steps: int) -> list[str]:
    """What is wrong with a run that was killed, beside one that was not."""
    faults = [f"left behind: {name}" for name in partial_files(actual)]
    if whole_checkpoints(actual) != whole_checkpoints(expected):
        faults.append(f"checkpoints {whole_checkpoints(actual)}")
    state = tf.train.get_checkpoint_state(str(actual))
    listed = [Path(path).name for path in state.all_model_checkpoint_paths] if state else []
    if sorted(listed) != sorted(f"model.ckpt-{step}" for step in whole_checkpoints(actual)):
        faults.append(f"the file checkpoint lists {listed}")
    if "Skipping a damaged checkpoint" in Path(f"{actual}.log").read_text(encoding="utf-8"):
        faults.append("a torn checkpoint had its final name")
    left, right = (read(path / f"model.ckpt-{steps}") for path in (expected, actual))
    different = sorted(
        name for name in left.keys() | right.keys() if left.get(name) != right.get(name)
    )
    if different:
        faults.append(f"{len(different)} of {len(left)} tensors differ: {different[:3]}")
    return faults


def main() -> int:
    """Kills, restarts, compares; exit status 0 if every end is the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=5, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments")
    chosen = parser.parse_args()
    killer = Killer(chosen.steps, chosen.every, random.Random(chosen.seed))
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        straight = Path(name, "straight")
        killer.straight(straight)
        runs = 0
        while killer.kills < chosen.kills:
            runs += 1
            directory = Path(name, f"killed_{runs}")
            for line in killer.killed(directory, chosen.kills - killer.kills):
                print(f"kill {killer.kills:>3}  run {runs}  {line}", flush=True)
            found = compare(straight, directory, chosen.steps)
            faults += [f"run {runs}: {fault}" for fault in found]
            print(f"run {runs}: {'different' if found else 'bit-identical to the straight run'}")
        tensors = len(read(straight / f"model.ckpt-{chosen.steps}"))
    where = ", ".join(f"{count} in {hit}" for hit, count in sorted(killer.hits.items()))
    print(
        f"{killer.kills} kills ({where}), {runs} runs of {chosen.steps} steps, {tensors} tensors."
    )
    print(
        "FAILED: " + "; ".join(faults) if faults else "All ends bit-identical; nothing left behind."
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
