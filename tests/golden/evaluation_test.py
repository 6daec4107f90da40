"""The golden checkpoint evaluated: the original's `eval_results.txt`, each record once."""

import gzip
import shutil

import pytest

from bert_tf.training import evaluation
from tests.support import small

TOLERANCE = 1e-4


def numbers(text: str) -> dict[str, float]:
    return {key: float(value) for key, value in (line.split(" = ") for line in text.splitlines())}


def check(folder, ours, even: bool = True) -> None:
    golden = numbers((folder / "eval_results.txt").read_text(encoding="utf-8"))
    if not even:
        # The loss is the mean over batches of each batch's: a small last batch counts for more.
        assert float(ours["loss"]) == pytest.approx(golden["loss"], abs=0.1)
        golden["loss"] = float(ours["loss"])
    # The checkpoint was given as --init_checkpoint: its step is not ours.
    assert ours.keys() == golden.keys()
    for name, value in golden.items():
        if name != "global_step":
            assert float(ours[name]) == pytest.approx(value, abs=TOLERANCE), (
                f"{name} is {ours[name]}, the original's {value}. If the forward pass equals its "
                "golden, look at how examples and predictions are counted."
            )


@pytest.mark.parametrize("size", [14, 15], ids=["even", "last_batch_filled_up"])
def test_small(tmp_path, size):
    ours = small.evaluate(
        tmp_path, small.NO_DROPOUT, init_checkpoint=small.CHECKPOINT, eval_batch_size=size
    )
    check(small.GOLDENS / "pretrained", ours, even=size == 14)
    written = numbers((tmp_path / "eval_results.txt").read_text(encoding="utf-8"))
    assert written.keys() == ours.keys()


# 196 = 12 * 16 + 4: of the last batch of 16, the second replica gets filler alone.
@pytest.mark.parametrize("size", [14, 16], ids=["even", "a_share_of_filler_alone"])
def test_two_replicas_count_each_example_once(tmp_path, size):
    ours = small.evaluate(
        tmp_path,
        small.NO_DROPOUT,
        init_checkpoint=small.CHECKPOINT,
        eval_batch_size=size,
        logical_cpus=2,
    )
    check(small.GOLDENS / "pretrained", ours, even=size == 14)


def test_large(tmp_path):
    folder = small.LARGE / "pretrained"
    if not folder.exists():
        pytest.skip(f"{folder} is not here: the large goldens hold other people's text")
    packed = small.LARGE / "records" / "default.1.tfrecord.gz"
    with gzip.open(packed) as source, (tmp_path / "records").open("wb") as target:
        shutil.copyfileobj(source, target)
    chosen = small.options(
        tmp_path / "out",
        init_checkpoint=str(folder / "model.ckpt-300"),
        eval_batch_size=10,
        max_eval_steps=359,
    )
    with small.started(chosen.runtime) as running:
        task = small.task(folder / "bert_config_nodrop.json", 128, 20)
        source = small.records(tmp_path / "records", task)
        ours = evaluation.evaluate(task, running, chosen, source)
    check(folder, ours)
