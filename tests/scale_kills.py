"""Kills scale mode at random moments, restarts it, and compares every shard.

    python -m tests.scale_kills --kills 20

Makes the shards once without a kill with 1, 2 and 5 workers, and then, as often as the kills take,
with SIGKILL at random moments, every life with another number of workers. Every life is the command
create_pretraining_data, in a process forked after its code was loaded. What the kills cost is
measured in processor time: that of all lives of a run, above that of a run without a kill. It is
mostly the shards that were being written: half of one for each worker. Five minutes for 20 kills on
two idle cores.
"""

import argparse
import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tqdm
from absl import flags

from data_prep import create_pretraining_data
from data_prep.options import GenerationOptions
from data_prep.scale import create_shards
from tests.support.texts import VOCAB, write_texts

WORKERS = (1, 2, 5)
FILES = 3
_MOST_SECONDS = 300


@dataclass(frozen=True)
class Shards:
    """What every life is to make.

    Attributes:
        texts: Folder of the text.
        shards: How many.
        dupe_factor: Passes.
    """

    texts: Path
    shards: int
    dupe_factor: int

    def start(self, folder: Path, workers: int) -> int:
        """Starts the command in a forked process; its process id."""
        # A pool that was joined has threads that are still ending, and may hold a lock which the
        # fork would find held for ever.
        time.sleep(0.2)
        process = os.fork()
        if process:
            return process
        code = 1
        signal.alarm(_MOST_SECONDS)  # a life that hangs ends as a fault
        try:
            log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.argv = [
                "create_pretraining_data",
                f"--input_file={self.texts}/*.txt",
                f"--output_file={folder}/records",
                f"--vocab_file={VOCAB}",
                f"--dupe_factor={self.dupe_factor}",
                f"--shards={self.shards}",
                f"--workers={workers}",
            ]
            flags.FLAGS.unparse_flags()
            create_pretraining_data.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def load_code(self, folder: Path) -> None:
        """Compiles, or loads what was compiled before, so that no life has to."""
        text, options = str(self.texts / "text0.txt"), GenerationOptions(dupe_factor=1)
        run = create_pretraining_data.Run((text,), (f"{folder}/w",), str(VOCAB), True, options)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            create_shards(create_pretraining_data.scale_run(run, 1))


def processor_seconds() -> float:
    """Of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait(process: int, until: float = float("inf")) -> int | None:
    """Exit status of a process; None where it runs still at that time."""
    while True:
        found, status = os.waitpid(process, os.WNOHANG if until < float("inf") else 0)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.0005)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each shard."""
    shards = sorted(folder.glob("records-*"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}


def complete_shards(folder: Path) -> dict[str, int]:
    """When each shard that has a note was written."""
    notes = [path for path in folder.glob(".records-of-*/*.json") if path.stem.isdigit()]
    shards = [path for note in notes for path in folder.glob(f"records-{note.stem}-of-*")]
    return {path.name: path.stat().st_mtime_ns for path in shards}


def phase(folder: Path) -> str:
    """What a run is doing, by the files that are there."""
    if not list(folder.glob(".bert_tf_corpus-*/corpus")):
        return "reading"
    if not list(folder.glob(".records-of-*/*.lock")):
        return "drawing"
    return "writing" if not list(folder.glob(".records-of-*/manifest.json")) else "the end"


def left_behind(folder: Path) -> list[str]:
    """Names that no finished run may leave."""
    found = [*folder.rglob("*partial*"), *folder.rglob("text-*"), *folder.rglob("pairs-*")]
    return sorted(str(path.relative_to(folder)) for path in found)


@dataclass
class Killer:
    """Runs lives and kills them; what it did is counted.

    Attributes:
        job: What they make.
        draw: Source of the moments and of the numbers of workers.
        expected: SHA-256 of each shard.
        seconds: What a run without a kill takes.
        straight_spent: Processor seconds of each run without a kill.
        spent: Processor seconds of each run with kills, and how many these were.
    """

    job: Shards
    draw: random.Random
    expected: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    straight_spent: list[float] = field(default_factory=list)
    kills: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    spent: list[tuple[float, int]] = field(default_factory=list)

    def straight(self, folder: Path, workers: int) -> str:
        """A run without a kill; how long it took."""
        began, used = time.monotonic(), processor_seconds()
        self._finish(folder, self.job.start(folder, workers))
        self.seconds = time.monotonic() - began
        self.straight_spent.append(processor_seconds() - used)
        return f"{self.seconds:.1f} s, {self.straight_spent[-1]:.1f} s of processor time"

    def cost(self) -> str:
        """What a kill cost, as a share of a run."""
        whole = statistics.mean(self.straight_spent)
        costs = [(spent - whole) / kills / whole for spent, kills in self.spent]
        mean = sum(cost * kills for cost, (_, kills) in zip(costs, self.spent, strict=True))
        return (
            f"A run takes {whole:.1f} s of processor time ({min(self.straight_spent):.1f} to "
            f"{max(self.straight_spent):.1f}); a kill costs {100.0 * mean / self.kills:.1f} % of "
            f"it on average ({100.0 * max(costs):.1f} % in the worst of {len(costs)} runs)."
        )

    def killed(self, folder: Path, most: int) -> Iterator[str]:
        """A run with kills, up to `most`; a line for each. Ends when the run has ended."""
        used, kills = processor_seconds(), 0
        complete: dict[str, int] = {}
        while kills < most:
            process = self.job.start(folder, self.draw.choice(WORKERS))
            # Every other one early: reading and drawing are a small part of a run.
            latest = self.seconds * self.draw.choice((0.3, 1.0))
            until = time.monotonic() + self.draw.uniform(0.0, latest)
            status = wait(process, until)
            if status is None:
                os.kill(process, signal.SIGKILL)
                status = wait(process)
            if status == 0:
                break
            if status != -signal.SIGKILL:
                raise SystemExit(f"A life ended by itself with {status}:\n{log_tail(folder)}")
            kills += 1
            self.kills += 1
            self.hits[phase(folder)] += 1
            self._none_redone(folder, complete)
            complete = complete_shards(folder)
            yield f"while {phase(folder)}, {len(complete)} of {self.job.shards} shards complete"
        else:
            self._finish(folder, self.job.start(folder, self.draw.choice(WORKERS)))
        self._none_redone(folder, complete)
        if kills:
            self.spent.append((processor_seconds() - used, kills))

    def _finish(self, folder: Path, process: int) -> None:
        status = wait(process)
        if status:
            raise SystemExit(f"A run ended with {status}:\n{log_tail(folder)}")

    def _none_redone(self, folder: Path, complete: dict[str, int]) -> None:
        now = complete_shards(folder)
        again = [name for name, written in complete.items() if now.get(name) != written]
        if again:
            raise SystemExit(f"Shards that were complete were made again: {again}")

    def faults(self, folder: Path) -> list[str]:
        """What is wrong with a run that has ended."""
        found = [f"left behind: {name}" for name in left_behind(folder)]
        actual = digests(folder)
        names = self.expected.keys() | actual.keys()
        different = sorted(n for n in names if self.expected.get(n) != actual.get(n))
        return found + [f"{len(different)} shards differ: {different[:3]}"] * bool(different)


def log_tail(folder: Path) -> str:
    """The last of what the lives of a run said."""
    return Path(f"{folder}.log").read_text(encoding="utf-8")[-3000:]


def in_new_folder(folder: Path, work: Callable[[Path], object]) -> None:
    """Does something in a folder that is there meanwhile."""
    folder.mkdir()
    work(folder)
    shutil.rmtree(folder)


def main() -> int:
    """Kills, restarts, compares; exit status 0 if every end is the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--megabytes", type=float, default=60.0, help="of text")
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--dupe_factor", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments")
    chosen = parser.parse_args()
    tqdm.tqdm.monitor_interval = 0  # no thread, so that forking is safe
    # By default all forks share one lock of tqdm, which a life that was killed can hold for ever.
    tqdm.tqdm.set_lock(threading.RLock())
    create_pretraining_data.define_flags()
    create_pretraining_data.define_flags = lambda: None
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        texts = Path(name, "texts")
        texts.mkdir()
        write_texts(texts, FILES, chosen.megabytes)
        killer = Killer(
            Shards(texts, chosen.shards, chosen.dupe_factor), random.Random(chosen.seed)
        )
        in_new_folder(Path(name, "warm"), killer.job.load_code)
        faults += run_straight(killer, Path(name))
        runs = 0
        while killer.kills < chosen.kills:
            runs += 1
            folder = Path(name, f"killed{runs}")
            folder.mkdir()
            for line in killer.killed(folder, min(4, chosen.kills - killer.kills)):
                print(f"kill {killer.kills:>3}  run {runs}  {line}", flush=True)
            found = killer.faults(folder)
            faults += [f"run {runs}: {fault}" for fault in found]
            print(f"run {runs}: {'different' if found else 'every shard the same'}", flush=True)
            shutil.rmtree(folder)
        # Once more: the machine may have been busier before than it is now.
        faults += run_straight(killer, Path(name))
    where = ", ".join(f"{count} while {hit}" for hit, count in sorted(killer.hits.items()))
    print(f"{killer.kills} kills ({where}), {runs} runs.")
    print(killer.cost())
    print("FAILED: " + "; ".join(faults) if faults else "All shards have the same SHA-256.")
    return 1 if faults else 0


def run_straight(killer: Killer, folder: Path) -> list[str]:
    """Runs without a kill, with every number of workers; what differs."""
    faults: list[str] = []
    for workers in WORKERS:
        made = folder / f"straight{workers}"
        made.mkdir()
        print(f"{workers} workers: {killer.straight(made, workers)}", flush=True)
        killer.expected = killer.expected or digests(made)
        faults += [f"{workers} workers: {fault}" for fault in killer.faults(made)]
        shutil.rmtree(made)
    return faults


if __name__ == "__main__":
    sys.exit(main())
