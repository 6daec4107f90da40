"""Training steps beside the original's: every loss, and the weights at the end."""

import gzip
import json
import shutil

import numpy as np
import pytest

from bert_tf.inputs.records import RecordWriter, read_records
from bert_tf.training import loop
from bert_tf.training.reports import read_metrics
from tests.support import small

BATCH = 16
HINTS = (
    (0, "Step 0 is a forward pass: see forward_test.py, and the order of the records."),
    (1, "Step 1 follows the first update: see the gradient, the clipping and the Adam rule."),
    (6, "The warm-up is wrong: the rate of update i counts from 1 (Schedule.__call__)."),
    (12, "The first epoch ended: whole batches only, then from the first record again."),
)


def rotated(source, target) -> None:
    """The records with the first batch moved to the end: the goldens start with the second."""
    records = list(read_records(source))
    whole = len(records) // BATCH * BATCH
    with RecordWriter(target) as writer:
        for record in records[BATCH:whole] + records[:BATCH]:
            writer.write(record)


def advice(difference, bound: float) -> str:
    """Where the first wrong loss lies, and what that speaks for."""
    step = int(np.argmax(difference > bound))
    hint = [text for first, text in HINTS if step >= first][-1]
    return f"Losses differ from step {step} on, by {difference.max():.1e} at most. {hint}"


def compare(directory, folder, after: str, steps: int, loss_bound: float) -> None:
    key = "total_mlm_nsp_loss_before_each_update"
    golden = np.array(json.loads((folder / "trajectory.json").read_text(encoding="utf-8"))[key])
    names = ("loss", "masked_lm_loss", "next_sentence_loss")
    rows = read_metrics(directory / "metrics.jsonl")
    ours = np.array([[row[name] for name in names] for row in rows])
    assert ours.shape == golden.shape == (steps, 3)
    difference = np.abs(ours - golden).max(axis=1)
    assert difference.max() <= loss_bound, advice(difference, loss_bound)
    expected = small.tensors(folder / after / "model.ckpt")
    actual = small.tensors(directory / f"model.ckpt-{steps}")
    weights = [name for name in expected if "adam_" not in name and name != "global_step"]
    assert len(weights) == 46
    off = [np.abs(expected[name] - actual[name]).ravel() for name in weights]
    assert np.concatenate(off).mean() <= 1e-5, (
        f"Losses fit, weights do not; worst: {weights[int(np.argmax([o.max() for o in off]))]}. "
        "See which variables are decayed."
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"logical_cpus": 2, "gradient_accumulation_steps": 4}, {"jit_compile": True}],
    ids=["plain", "two_replicas_and_accumulation", "xla"],
)
def test_small(tmp_path, changes):
    rotated(small.RECORDS, tmp_path / "records")
    small.train(
        tmp_path / "out",
        small.NO_DROPOUT,
        input_file=str(tmp_path / "records"),
        init_checkpoint=small.CHECKPOINT,
        num_train_steps=30,
        num_warmup_steps=6,
        save_checkpoints_steps=1000,
        shuffle=False,
        **changes,
    )
    compare(tmp_path / "out", small.GOLDENS / "pretrained", "after_30_steps", 30, 1e-5)


def test_large(tmp_path):
    folder = small.LARGE / "pretrained"
    if not folder.exists():
        pytest.skip(f"{folder} is not here: the large goldens hold other people's text")
    packed = small.LARGE / "records" / "default.1.tfrecord.gz"
    with gzip.open(packed) as source, (tmp_path / "plain").open("wb") as target:
        shutil.copyfileobj(source, target)
    rotated(tmp_path / "plain", tmp_path / "records")
    chosen = small.options(
        tmp_path / "out",
        init_checkpoint=str(folder / "model.ckpt-300"),
        num_train_steps=40,
        num_warmup_steps=8,
        learning_rate=5e-4,
        save_checkpoints_steps=1000,
        shuffle=False,
    )
    with small.started(chosen.runtime) as running:
        task = small.task(folder / "bert_config_nodrop.json", 128, 20)
        loop.train(task, running, chosen, small.records(tmp_path / "records", task))
    compare(tmp_path / "out", folder, "after_40_steps", 40, 2e-3)


def test_advice_names_the_first_wrong_step():
    difference = np.zeros(30)
    difference[3:] = 1e-4
    difference[7:] = 1e-2
    assert "from step 7 on, by 1.0e-02" in advice(difference, 1e-3)
    assert "warm-up" in advice(difference, 1e-3)
    assert "from step 3 on" in advice(difference, 1e-5)
