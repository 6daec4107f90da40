"""MRPC and CoLA against the original: records, evaluation, predictions of its checkpoints."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bert_tf.inputs.example_proto import parse_example
from bert_tf.inputs.records import RecordWriter, read_records
from bert_tf.tasks import classification
from bert_tf.tasks.classification import Featurizer
from bert_tf.tasks.text_data import glue_data
from bert_tf.tokenization import FullTokenizer
from tests.support import commands, small

UNCASED = small.ROOT.parent / "shared" / "data" / "vocab" / "uncased_30522_vocab.txt"
CASES = {
    "mrpc": (small.GOLDENS / "mrpc", small.CONFIG, small.VOCAB, 48, 24),
    "cola": (small.GOLDENS / "cola", small.CONFIG, small.VOCAB, 32, 24),
    "mrpc_large": (
        small.LARGE / "tasks" / "mrpc",
        small.LARGE / "pretrained" / "bert_config.json",
        UNCASED,
        128,
        40,
    ),
    "cola_large": (
        small.LARGE / "tasks" / "cola",
        small.LARGE / "pretrained" / "bert_config.json",
        UNCASED,
        64,
        40,
    ),
}


def features(path: Path) -> list[dict]:
    """The records of a file, as values by feature."""
    return [
        {name: (kind, list(values)) for name, (kind, values) in parse_example(raw).items()}
        for raw in read_records(path)
    ]


def golden_records(path: Path, folder: Path) -> Path:
    """The path, or of a packed file an unpacked copy."""
    if path.exists():
        return path
    copy = folder / f"golden_{path.name}"
    with gzip.open(f"{path}.gz") as packed, copy.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    return copy


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    folder, config, vocab, length, step = CASES[request.param]
    if not folder.exists():
        pytest.skip(f"{folder} is not here: the large goldens hold other people's text")
    flags = {
        "task_name": request.param.split("_")[0],
        "data_dir": folder,
        "bert_config_file": config,
        "vocab_file": vocab,
        "max_seq_length": length,
        "output_dir": tmp_path / "out",
    }
    return folder, tmp_path, flags, folder / f"model.ckpt-{step}"


def test_records_evaluation_and_predictions_are_the_originals(case):
    folder, tmp_path, flags, checkpoint = case
    commands.run(
        "run_classifier",
        **flags,
        init_checkpoint=checkpoint,
        do_train=True,
        train_batch_size=8,
        num_train_epochs=0.34,
        learning_rate=1e-12,
    )
    commands.run(
        "run_classifier", **flags, init_checkpoint=checkpoint, do_eval=True, do_predict=True
    )
    for split in ("train", "eval"):
        ours = tmp_path / "out" / f"{split}.tf_record"
        golden = golden_records(folder / f"{split}.tf_record", tmp_path)
        assert features(ours) == features(golden), split
    results = dict(
        line.split(" = ") for line in (tmp_path / "out/eval_results.txt").read_text().splitlines()
    )
    for line in (folder / "eval_results.txt").read_text().splitlines():
        name, value = line.split(" = ")
        if name != "global_step":
            assert float(results[name]) == pytest.approx(float(value), abs=2e-5), name
    ours, golden = (
        np.loadtxt(path / "test_results.tsv", delimiter="\t") for path in (tmp_path / "out", folder)
    )
    np.testing.assert_allclose(ours, golden, atol=1e-5)
    lines = (tmp_path / "out/predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["label"] for row in rows] == ["01"[best] for best in golden.argmax(axis=1)]


def test_records_of_the_test_split_are_the_originals(case):
    folder, tmp_path, flags, _ = case
    data = glue_data(flags["task_name"], folder)
    tokenizer = FullTokenizer(flags["vocab_file"])
    table = Featurizer(tokenizer, flags["max_seq_length"], data.labels).table(
        data.splits["test"][0].read()
    )
    schema = classification.schema(flags["max_seq_length"])
    columns = {f.name: table.columns[f.name].reshape(len(table), -1) for f in schema.features}
    with RecordWriter(tmp_path / "predict.tf_record") as writer:
        for record in schema.encode_rows(columns):
            writer.write(record)
    golden = golden_records(folder / "predict.tf_record", tmp_path)
    assert features(tmp_path / "predict.tf_record") == features(golden)
