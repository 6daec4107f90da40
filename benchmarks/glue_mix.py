"""Training and prediction on sentences of GLUE's lengths, beside padding to 128 and Hugging Face.

    python -m benchmarks.glue_mix --data_dir ../glue --vocab_file vocab.txt \\
      --torch_python PYTHON

A mix of several tasks, some 45 tokens on average, classified in two classes. Ours puts examples of
similar length into one batch and pads to its longest; so does Hugging Face (BertForSequence-
Classification in eager PyTorch, fused AdamW, scaled-dot-product attention), on batches drawn by the
same rule; the third pads the same examples to 128. Each lives in its own process, and their turns
alternate; a ratio is the median over the rounds. Takes some five minutes with bert-mini.
"""

import argparse
import itertools
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.protocol import Case, add_case_arguments
from benchmarks.peers.text_batches import PREDICT, TRAIN, TextBatches
from benchmarks.turns import Options, measure
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.packing import SEQUENCES, TextPacker
from bert_tf.tasks.glue import GLUE, Example, read_split
from bert_tf.tokenization import FullTokenizer

OURS, PADDED, HUGGING_FACE = "bert_tf", "padded to 128", "hugging_face"
MODULES = {
    OURS: "benchmarks.peers.our_texts",
    PADDED: "benchmarks.peers.our_padded_texts",
    HUGGING_FACE: "benchmarks.peers.torch_texts",
}
FOLDERS = {"cola": "CoLA", "mrpc": "MRPC", "rte": "RTE", "sts-b": "STS-B", "qnli": "QNLI"}


def examples_of(data_dir: Path, most: int) -> list[Example]:
    """The first examples of the training set of each task, or of its development set."""
    found: list[Example] = []
    for name, folder in FOLDERS.items():
        task = GLUE[name]
        layouts = [each for each in (task.train, task.dev) if each]
        layout = next(each for each in layouts if (data_dir / folder / each.file).exists())
        found += itertools.islice(read_split(data_dir / folder, layout, "en"), most)
    return found


def table_of(options: argparse.Namespace) -> ExampleTable:
    """The mix, tokenized; labels are made up."""
    packer = TextPacker(FullTokenizer(options.vocab_file), options.length)
    columns: dict[str, list[object]] = {name: [] for name in (*SEQUENCES, "label_ids")}
    for number, example in enumerate(examples_of(options.data_dir, options.examples)):
        ((window,),) = packer.windows(example.text_a, [example.text_b])
        for name in SEQUENCES:
            columns[name].append(getattr(window.packed, name))
        columns["label_ids"].append(number % 2)
    return ExampleTable.build(columns, SEQUENCES)


def main() -> None:
    """Prints a line for each contender, for training and for prediction."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_case_arguments(parser)
    parser.set_defaults(model="bert-mini", batch_size=32)
    parser.add_argument("--data_dir", type=Path, required=True, help="with a folder for each task")
    parser.add_argument("--vocab_file", type=Path, required=True)
    parser.add_argument("--torch_python", help="interpreter with torch and transformers")
    parser.add_argument("--examples", type=int, default=400, help="of each task")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a turn")
    options = parser.parse_args()

    table = table_of(options)
    pythons = {HUGGING_FACE: options.torch_python} if options.torch_python else {}
    with tempfile.TemporaryDirectory(prefix="bert_tf_benchmark_") as folder:
        data = str(Path(folder) / "batches.npz")
        TextBatches.of(table, options.batch_size).save(data)
        case = Case(options.model, options.batch_size, options.length, "float32", options.threads)
        for work in (TRAIN, PREDICT):
            # One step of a prediction is a pass over all examples.
            size = len(table) if work == PREDICT else options.batch_size
            own = replace(case, batch_size=size, data=data, work=work)
            result = measure(Options(own, MODULES, pythons, options.rounds, options.seconds))
            print(
                f"{work}: {options.model}, {len(table)} examples of {table.lengths.mean():.1f} "
                f"tokens on average, load average {os.getloadavg()[0]:.1f}"
            )
            for name in result.speeds:
                ratio = "" if name == OURS else f"  ours is {result.ratio(OURS, name):.2f}x as fast"
                print(f"  {name:14} {result.median(name):8.1f} examples/s{ratio}", flush=True)


if __name__ == "__main__":
    main()
