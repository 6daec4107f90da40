"""One device, two, two workers, accumulation: the same steps without dropout."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from bert_tf.training.reports import read_metrics
from tests.support import small

STEPS, TOLERANCE = 20, 1e-4
WEIGHT_TOLERANCE = 2e-6  # ten times what additions in another order were seen to change
NAMES = ("loss", "masked_lm_loss", "next_sentence_loss", "masked_lm_accuracy", "learning_rate")
RUN = {"num_train_steps": STEPS, "save_checkpoints_steps": STEPS}


def curves(rows) -> np.ndarray:
    table = np.array([[row[name] for name in NAMES] for row in rows])
    assert table.shape == (STEPS, len(NAMES))
    return table


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return folder, curves(small.train(folder, small.NO_DROPOUT, **RUN))


def check(one_device, folder, rows) -> None:
    expected_folder, expected = one_device
    difference = np.abs(curves(rows) - expected)
    assert difference.max() <= TOLERANCE, (
        f"{NAMES[difference.max(0).argmax()]} is off by {difference.max():.1e}, first at step "
        f"{difference.max(1).argmax()}. Totals must be those of the global batch, gradients summed "
        "before they are clipped."
    )
    left, right = (
        small.tensors(path / f"model.ckpt-{STEPS}") for path in (expected_folder, folder)
    )
    for name in left:
        if name != "bert_tf/run":
            np.testing.assert_allclose(
                right[name], left[name], rtol=0.0, atol=WEIGHT_TOLERANCE, err_msg=name
            )


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_accumulation_steps": 4},
        {"logical_cpus": 2},
        {"logical_cpus": 2, "gradient_accumulation_steps": 2},
    ],
    ids=["accumulation_4", "two_devices", "two_devices_accumulation_2"],
)
def test_in_one_process(one_device, tmp_path, changes):
    rows = small.train(tmp_path, small.NO_DROPOUT, **RUN, **changes)
    check(one_device, tmp_path, rows)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def test_two_workers(one_device, tmp_path):
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    command = [
        *(sys.executable, "-m", "bert_tf.run_pretraining", "--do_train", "--do_eval"),
        f"--input_file={small.RECORDS}",
        f"--bert_config_file={small.NO_DROPOUT}",
        f"--output_dir={tmp_path}",
        *("--max_seq_length=64", "--max_predictions_per_seq=10", "--train_batch_size=16"),
        *("--learning_rate=1e-3", f"--num_train_steps={STEPS}", "--num_warmup_steps=4"),
        *("--iterations_per_loop=1", "--eval_batch_size=14", "--deterministic"),
    ]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        with (tmp_path / f"worker_{index}.log").open("w") as log:
            workers.append(
                subprocess.Popen(
                    command, env=environment, cwd=small.ROOT, stdout=log, stderr=subprocess.STDOUT
                )
            )
    try:
        codes = [worker.wait(timeout=240) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    logs = [(tmp_path / f"worker_{index}.log").read_text("utf-8") for index in range(2)]
    assert codes == [0, 0], "\n".join(log[-2000:] for log in logs)
    check(one_device, tmp_path, read_metrics(tmp_path / "metrics.jsonl"))
    # Only the chief speaks and writes.
    assert "Trained. Checkpoint" in logs[0]
    assert "Trained." not in logs[1]
    alone = small.evaluate(one_device[0], small.NO_DROPOUT)
    lines = (tmp_path / "eval_results.txt").read_text("utf-8").splitlines()
    together = dict(line.split(" = ") for line in lines)
    assert together.keys() == alone.keys()
    for name, value in alone.items():
        assert float(together[name]) == pytest.approx(float(value), abs=TOLERANCE), name
