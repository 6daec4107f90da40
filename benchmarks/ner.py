"""Named entities of CoNLL-2003: fine-tuned, beside PyTorch, and on the features of a frozen BERT.

    python -m benchmarks.ner --data ../conll2003 --model all-MiniLM-L6-v2 \\
      --torch_python venv/bin/python

`--data` holds eng.train and eng.testa; for the rest see benchmarks.glue. Both sides read sentence
by sentence; a row more tells what ours makes of whole documents. The other rows are the
feature-based ones of table 7 of arXiv 1810.04805: a BiLSTM on top of layers that are not trained.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import finetuning
from benchmarks.finetuning import Outcome, Settings
from bert_tf.modeling.bilstm import FEATURES
from bert_tf.tasks.ner import DOCUMENT, SENTENCE
from bert_tf.tasks.ner_data import Sentence, learn_tags, read_columns
from bert_tf.tasks.ner_job import entity_scores

TRAIN, DEV = "eng.train", "eng.testa"
FINE_TUNED = {f"fine-tuned, {context}s": context for context in (SENTENCE, DOCUMENT)}
ROWS = (*FINE_TUNED, *FEATURES)


def sentences(path: Path) -> list[Sentence]:
    """All sentences of a column file."""
    return [sentence for document in read_columns(path, tagged=True) for sentence in document]


def ours(data: Path, flags: Sequence[str], settings: Settings, seed: int) -> Outcome:
    """F1 of entities through `run_ner`."""
    given = [f"--data_dir={data}", "--do_eval", *flags]
    with finetuning.trained("run_ner", given, settings, seed) as (folder, seconds):
        f1 = finetuning.read_scores(folder / "eval_results.txt")["f1"]
    return Outcome({"f1": 100.0 * f1}, seconds)


def torchs(data: Path, settings: Settings, seed: int) -> Outcome:
    """F1 of entities with PyTorch."""
    train, dev = sentences(data / TRAIN), sentences(data / DEV)
    order = {
        "tags": learn_tags([train]),
        "train": [(sentence.words, sentence.tags) for sentence in train],
        "dev": [(sentence.words, sentence.tags) for sentence in dev],
    }
    answer = finetuning.ask_torch("torch_ner", order, settings, seed)
    gold = [list(sentence.tags or ()) for sentence in dev]
    return Outcome({"f1": 100.0 * entity_scores(gold, answer["tags"])["f1"]}, answer["seconds"])


def main() -> None:
    """Prints the table."""
    parser = finetuning.parser_of(__doc__, batch_size=32, rate=5e-5, epochs=3.0, length=128)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    # A window of a document holds many sentences: as many updates take smaller batches.
    parser.add_argument("--document_batch_size", type=int, default=8)
    parser.add_argument("--feature_rate", type=float, default=1e-3)
    parser.add_argument("--feature_epochs", type=float, default=3.0)
    options = parser.parse_args()
    data, settings = options.data.resolve(), finetuning.settings_of(options)
    feature_based = dataclasses.replace(
        settings, rate=options.feature_rate, epochs=options.feature_epochs
    )
    outcomes = {}
    for row in options.rows:
        flags, own, peer = [f"--context={SENTENCE}", f"--feature_based={row}"], feature_based, None
        if row in FINE_TUNED:
            flags, own = [f"--context={FINE_TUNED[row]}"], settings
            if FINE_TUNED[row] == SENTENCE:
                peer = partial(torchs, data, own)
            else:
                own = dataclasses.replace(own, batch_size=options.document_batch_size)
        outcomes[row] = finetuning.compare(row, partial(ours, data, flags, own), peer, settings)
    finetuning.print_table(outcomes)


if __name__ == "__main__":
    main()
