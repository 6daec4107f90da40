"""Contenders that take turns, so that what disturbs the machine disturbs all of them."""

import statistics
from dataclasses import dataclass

from benchmarks.peers.protocol import Case, Worker


@dataclass(frozen=True)
class Options:
    """What to measure, beside whom, and for how long.

    Attributes:
        case: What every contender trains.
        modules: Contender to the module that runs it.
        pythons: Interpreter by contender, where it is not the benchmark's own.
        rounds: Turns of each contender.
        seconds: Length of a turn; at least one step.
    """

    case: Case
    modules: dict[str, str]
    pythons: dict[str, str]
    rounds: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """What was measured.

    Attributes:
        speeds: Contender to sequences a second, turn by turn.
        peak: Operations a second of the fastest product of large matrices that any reached.
    """

    speeds: dict[str, list[float]]
    peak: float

    def median(self, name: str) -> float:
        """Sequences a second."""
        return statistics.median(self.speeds[name])

    def ratio(self, name: str, peer: str) -> float:
        """How many times faster `name` is than `peer`: median over rounds."""
        pairs = zip(self.speeds[name], self.speeds[peer], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def measure(options: Options) -> Result:
    """Starts the contenders and lets them take turns.

    Raises:
        RuntimeError: If a contender ends early; the message holds its last line.
    """
    workers: dict[str, Worker] = {}
    try:
        for name, module in options.modules.items():  # One after another: building disturbs.
            python = options.pythons.get(name)
            workers[name] = Worker(module, options.case, *([python] if python else []))
            ready = workers[name].ready
            print(
                f"{name:14} {ready['versions']}; first loss {ready['first_loss']:.4f}", flush=True
            )
        return _take_turns(options, workers)
    finally:
        for worker in workers.values():
            worker.close()


def _take_turns(options: Options, workers: dict[str, Worker]) -> Result:
    counts = {
        name: max(1, round(options.seconds / worker.go(1)["seconds"]))
        for name, worker in workers.items()
    }
    speeds: dict[str, list[float]] = {name: [] for name in workers}
    peak = 0.0
    for number in range(options.rounds):
        # The order turns around every round, so that no one always follows the same other.
        for name in list(workers) if number % 2 == 0 else reversed(list(workers)):
            seconds = workers[name].go(counts[name])["seconds"]
            speeds[name].append(options.case.batch_size / seconds)
            peak = max(peak, workers[name].peak())
    return Result(speeds, peak)
