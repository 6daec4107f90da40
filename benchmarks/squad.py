"""Fine-tuning on a part of SQuAD 1.1 beside PyTorch: same weights, questions and windows.

    python -m benchmarks.squad --data ../squad --model all-MiniLM-L6-v2 \\
      --torch_python venv/bin/python

`--data` holds train-v1.1.json or .json.gz and dev-v1.1.json; for the rest see benchmarks.glue. The
questions are drawn from both files with a fixed seed. The same function scores both sides. Both
put windows of similar lengths into a batch and pad them to its longest: ours with `--pad_to_batch`,
PyTorch's as `group_by_length` of transformers does. With MiniLM on two cores that others used too,
a seed took ours 19 minutes and PyTorch 30.
"""

import json
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import finetuning
from benchmarks.finetuning import Outcome, Settings
from bert_tf.inputs.text_files import read_text
from bert_tf.tasks.squad_data import read_squad
from bert_tf.tasks.squad_scores import version_1

DOC_STRIDE, MOST_QUERY_TOKENS, N_BEST, MOST_ANSWER_TOKENS = 128, 64, 20, 30
DRAW_SEED = 1


@dataclass(frozen=True)
class Files:
    """The questions to train on and those to answer."""

    train: Path
    dev: Path


def draw(content: Mapping[str, Any], count: int) -> dict[str, Any]:
    """A SQuAD file of `count` questions of another one, in its order; all, if there are fewer."""
    paragraphs = [each for article in content["data"] for each in article["paragraphs"]]
    names = [question["id"] for paragraph in paragraphs for question in paragraph["qas"]]
    drawn = set(random.Random(DRAW_SEED).sample(names, min(count, len(names))))
    kept = []
    for paragraph in paragraphs:
        questions = [question for question in paragraph["qas"] if question["id"] in drawn]
        if questions:
            kept.append({"context": paragraph["context"], "qas": questions})
    return {"version": "1.1", "data": [{"title": "", "paragraphs": kept}]}


def score(files: Files, predictions: Mapping[str, str]) -> dict[str, float]:
    """The official scores of the answers."""
    questions = read_squad(files.dev, training=False, version_2=False).questions
    return version_1({each.identifier: each.answers for each in questions}, predictions)


def ours(files: Files, settings: Settings, seed: int) -> Outcome:
    """Exact match and F1 through `run_squad`."""
    flags = [
        *(f"--train_file={files.train}", f"--predict_file={files.dev}", "--do_predict"),
        *(f"--doc_stride={DOC_STRIDE}", f"--max_query_length={MOST_QUERY_TOKENS}"),
        *(f"--n_best_size={N_BEST}", f"--max_answer_length={MOST_ANSWER_TOKENS}"),
        "--pad_to_batch",
    ]
    with finetuning.trained("run_squad", flags, settings, seed) as (folder, seconds):
        predictions = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    return Outcome(score(files, predictions), seconds)


def torchs(files: Files, settings: Settings, seed: int) -> Outcome:
    """Exact match and F1 with PyTorch."""
    order = {
        "train": str(files.train),
        "dev": str(files.dev),
        "doc_stride": DOC_STRIDE,
        "max_query_length": MOST_QUERY_TOKENS,
        "n_best": N_BEST,
        "max_answer_length": MOST_ANSWER_TOKENS,
    }
    answer = finetuning.ask_torch("torch_squad", order, settings, seed)
    return Outcome(score(files, answer["predictions"]), answer["seconds"])


def main() -> None:
    """Prints the table."""
    parser = finetuning.parser_of(__doc__, batch_size=16, rate=1e-4, epochs=2.0, length=384)
    parser.add_argument("--questions", type=int, default=4000, help="questions to train on")
    parser.add_argument("--dev_questions", type=int, default=1000)
    options = parser.parse_args()
    settings, data = finetuning.settings_of(options), options.data.resolve()
    packed = data / "train-v1.1.json.gz"
    train = packed if packed.exists() else packed.with_suffix("")
    with tempfile.TemporaryDirectory(prefix="bert_tf_squad_") as folder:
        files = Files(Path(folder) / "train.json", Path(folder) / "dev.json")
        for source, target, count in (
            (train, files.train, options.questions),
            (data / "dev-v1.1.json", files.dev, options.dev_questions),
        ):
            target.write_text(json.dumps(draw(json.loads(read_text(source)), count)))
        name = f"SQuAD 1.1, {options.questions} questions"
        outcomes = finetuning.compare(
            name,
            partial(ours, files, settings),
            partial(torchs, files, settings),
            settings,
        )
    finetuning.print_table({name: outcomes})


if __name__ == "__main__":
    main()
