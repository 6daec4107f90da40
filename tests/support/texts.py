"""Text of any size for the generator of pretraining data, and its vocabulary."""

import random
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data_prep" / "sample_corpus.txt"
VOCAB = ROOT / "tests" / "goldens" / "vocab.txt"


def write_texts(folder: Path, files: int, megabytes: float, longest: int = 30) -> None:
    """Files text0.txt ... of documents of the sample's sentences; documents go on across files."""
    rng = random.Random(3)
    lines = [line for line in SAMPLE.read_text(encoding="utf-8").splitlines() if line]
    for number in range(files):
        written = 0
        with (folder / f"text{number}.txt").open("w", encoding="utf-8") as file:
            while written < megabytes * 1e6 / files:
                document = "\n".join(rng.choices(lines, k=rng.randint(1, longest)))
                written += file.write(document + "\n\n")
            file.write(rng.choice(lines) + "\n")
