"""Scale mode's shards by Beam in two processes and by a Spark cluster that loses a worker.

    python -m tests.engines --megabytes 4

With a Python that has apache-beam and pyspark, and Java 17. The cluster is a real one: a master and
two workers, each a process of its own on the loopback interface; one worker is killed with its
executor when some shards are there. Prints the SHA-256 of the shards beside those that
create_pretraining_data writes. Some two minutes.
"""

import argparse
import hashlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.texts import ROOT, VOCAB, write_texts

FILES = 5
COMMANDS = {
    "here": "create_pretraining_data", "Beam": "beam_pipeline", "Spark": "spark_job",
}  # fmt: skip
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYSPARK_PYTHON": sys.executable,
    "SPARK_LOCAL_IP": "127.0.0.1",
}


def arguments(texts: Path, output: Path, shards: int) -> list[str]:
    """The flags of every command."""
    return [
        f"--input_file={texts}/*.txt",
        f"--output_file={output}/records",
        f"--vocab_file={VOCAB}",
        "--dupe_factor=10",
        f"--shards={shards}",
    ]


def start(engine: str, *flags: str) -> subprocess.Popen:
    """Starts a command."""
    command = [sys.executable, "-m", f"data_prep.{COMMANDS[engine]}", *flags]
    return subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def end(process: subprocess.Popen) -> None:
    """Waits until a command has ended well."""
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} ended with {process.returncode}:\n{said[-3000:]}")


def digests(output: Path) -> list[str]:
    """SHA-256 of all shards, in their order."""
    shards = sorted(output.glob("records-*"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in shards]


def here(texts: Path, output: Path, shards: int) -> str:
    """The shards without an engine; what there is to say."""
    end(start("here", *arguments(texts, output, shards)))
    return "threads of one process"


def beam(texts: Path, output: Path, shards: int) -> str:
    """The same by Beam's direct runner in two processes."""
    options = ["--", "--runner=DirectRunner", "--direct_running_mode=multi_processing"]
    flags = arguments(texts, output, shards)
    process = start("Beam", *flags, *options, "--direct_num_workers=2")
    workers: set[int] = set()
    while process.poll() is None and len(workers) < 2:
        workers |= {pid for pid in descendants(process.pid) if "sdk_worker_main" in words(pid)}
        time.sleep(0.05)
    end(process)
    if len(workers) < 2:
        raise SystemExit(f"Beam used {len(workers)} worker processes instead of 2.")
    return "2 worker processes"


def spark(texts: Path, output: Path, shards: int) -> str:
    """The same by a Spark cluster of two workers, one of which is killed on the way."""
    with cluster(workers=2) as (master, workers):
        process = start("Spark", *arguments(texts, output, shards), f"--master={master}")
        notes = output / f".records-of-{shards:05d}.shards"
        done = wait_for(lambda: _complete(notes) >= shards // 8, process)
        lost = workers[0]
        killed = [lost.pid, *descendants(lost.pid)]
        executors = sum("CoarseGrainedExecutorBackend" in words(pid) for pid in killed)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        left = _complete(notes)
        end(process)
        if not done or not executors or left >= shards:
            raise SystemExit(f"Nothing was lost: {executors} executors, {left} shards complete.")
    return f"a worker killed with its executor when {left} of {shards} shards were complete"


def _complete(notes: Path) -> int:
    return sum(path.stem.isdigit() for path in notes.glob("*.json"))


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A Spark cluster on the loopback interface: its address, and its workers."""
    import pyspark

    run = [str(Path(pyspark.__file__).parent / "bin" / "spark-class")]
    port, page = free_ports(2)
    address = f"spark://127.0.0.1:{port}"
    processes: list[subprocess.Popen] = []
    with tempfile.TemporaryDirectory() as name, open(f"{name}/log", "w") as log:

        def launch(role: str, *flags: str) -> None:
            command = [*run, f"org.apache.spark.deploy.{role}", "--host", "127.0.0.1", *flags]
            processes.append(
                subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log, cwd=name)
            )

        try:
            launch("master.Master", "--port", str(port), "--webui-port", str(page))
            wait_for(lambda: answers(port), processes[0])
            for number in range(workers):
                folder = f"{name}/work{number}"
                flags = ["--cores", "1", "--memory", "1g", "--work-dir", folder, address]
                launch("worker.Worker", "--webui-port", "0", *flags)
            known = "Successfully registered with master"
            wait_for(lambda: Path(log.name).read_text().count(known) == workers, processes[0])
            yield address, processes[1:]
        finally:
            for process in processes:
                for pid in [*descendants(process.pid), process.pid]:
                    if words(pid):
                        os.kill(pid, signal.SIGKILL)
                process.wait()


def wait_for(happened: Callable[[], bool], process: subprocess.Popen, seconds: float = 300) -> bool:
    """Waits while a process runs; whether it happened."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        if happened():
            return True
        time.sleep(0.02)
    return False


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody has."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def answers(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def words(process: int) -> str:
    """The command line of a process; empty where there is none."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def descendants(process: int) -> list[int]:
    """All processes that a process has started, and those that these have."""
    found = []
    for task in Path("/proc").glob(f"{process}/task/*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


ENGINES = {"here": here, "Beam": beam, "Spark": spark}
PACKAGES = {"Beam": "apache_beam", "Spark": "pyspark"}


def installed(engine: str) -> bool:
    """Whether the package of an engine is there."""
    return engine not in PACKAGES or importlib.util.find_spec(PACKAGES[engine]) is not None


def main() -> int:
    """Runs all engines; exit status 0 if their shards are equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=4.0, help="of text")
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--engines", nargs="+", choices=list(PACKAGES), default=list(PACKAGES))
    chosen = parser.parse_args()
    missing = [PACKAGES[name] for name in chosen.engines if not installed(name)]
    if missing:
        parser.error(f"{sys.executable} lacks {' and '.join(missing)}: install it, or --engines.")
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        texts = Path(name, "texts")
        texts.mkdir()
        write_texts(texts, FILES, chosen.megabytes)
        for engine in ("here", *chosen.engines):
            output = Path(name, engine)
            output.mkdir()
            began = time.monotonic()
            how = ENGINES[engine](texts, output, chosen.shards)
            found[engine] = digests(output)
            seconds = time.monotonic() - began
            print(f"{engine}: {len(found[engine])} shards in {seconds:.1f} s, {how}", flush=True)
    equal = {name: shas == found["here"] for name, shas in found.items()}
    for shard in range(chosen.shards):
        row = "  ".join(f"{name} {shas[shard][:16]}" for name, shas in found.items())
        print(f"shard {shard:>3}  {row}")
    print("All shards equal." if all(equal.values()) else f"DIFFERENT: {equal}")
    return 0 if all(equal.values()) and len(found["here"]) == chosen.shards else 1


if __name__ == "__main__":
    sys.exit(main())
