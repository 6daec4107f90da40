"""The forward pass beside the original's, number by number."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from bert_tf.config import BertConfig
from bert_tf.conversion.tf1 import load_weights
from bert_tf.inputs.records import pretraining_schema, read_records
from bert_tf.modeling.heads import build_pretrainer
from tests.support import small

TOLERANCE = 5e-5
HINT = (
    "{name} is off by {worst:.1e}. Look at the first name in the order of the computation that "
    "fails: embedding_output (tables, epsilon 1e-12), all_encoder_layers (scale, mask, GELU's "
    "tanh form, post-norm), pooled_output, then the heads."
)
SETS = {
    "small": (small.GOLDENS / "pretrained", "model.ckpt-200", small.RECORDS, 64, 10),
    "large": (
        small.LARGE / "pretrained",
        "model.ckpt-300",
        small.LARGE / "records" / "default.1.tfrecord.gz",
        128,
        20,
    ),
}


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def first_records(path: Path, length: int, predictions: int, folder: Path):
    if path.suffix == ".gz":
        with gzip.open(path) as packed, (folder / "records").open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        path = folder / "records"
    schema = pretraining_schema(length, predictions)
    rows = [schema.decode(record) for _, record in zip(range(16), read_records(path), strict=False)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


@pytest.fixture(scope="module", params=SETS)
def pair(request, tmp_path_factory):
    """The golden arrays, and ours under the same names."""
    folder, checkpoint, records, length, predictions = SETS[request.param]
    if not (folder / "forward.npz").exists():
        pytest.skip(f"{folder} is not here: the large goldens hold other people's text")
    golden = dict(np.load(folder / "forward.npz"))
    configs = small.GOLDENS if request.param == "small" else folder
    model = build_pretrainer(BertConfig.from_json_file(configs / "bert_config_nodrop.json"))
    load_weights(model, str(folder / checkpoint))
    given = first_records(records, length, predictions, tmp_path_factory.mktemp("forward"))
    inputs = {
        "input_word_ids": given["input_ids"],
        "input_mask": given["input_mask"],
        "input_type_ids": given["segment_ids"],
        "masked_lm_positions": given["masked_lm_positions"],
    }
    encoded, outputs = model.encoder(inputs), model(inputs)
    words = log_softmax(outputs["mlm_logits"])
    rows = words.reshape(-1, words.shape[-1])
    ids, weights = given["masked_lm_ids"].reshape(-1), given["masked_lm_weights"].reshape(-1)
    each = -rows[np.arange(len(ids)), ids]
    follows = log_softmax(outputs["nsp_logits"])
    word_loss = (each * weights).sum() / (weights.sum() + 1e-5)
    follow_loss = -follows[np.arange(16), given["next_sentence_labels"][:, 0]].mean()
    ours = {
        "input_ids": given["input_ids"][:4],
        "embedding_output": encoded["embedding_output"][:4],
        "all_encoder_layers": np.stack([layer[:4] for layer in encoded["encoder_outputs"]]),
        "sequence_output": encoded["sequence_output"][:4],
        "pooled_output": encoded["pooled_output"][:4],
        "masked_lm_log_probs": rows[:20],
        "masked_lm_example_loss": each,
        "next_sentence_log_probs": follows,
        "masked_lm_loss": word_loss,
        "next_sentence_loss": follow_loss,
        "total_loss": word_loss + follow_loss,
    }
    return golden, ours


def test_every_golden_array_is_reproduced(pair):
    golden, ours = pair
    compared = set()
    for name, wanted in golden.items():
        key = "masked_lm_log_probs" if name.startswith("masked_lm_log_probs") else name
        got = np.asarray(ours[key])
        if key == "masked_lm_log_probs":
            got = got[:, : wanted.shape[1]]
        worst = np.abs(got.reshape(wanted.shape) - wanted).max()
        assert worst <= TOLERANCE, HINT.format(name=name, worst=worst)
        compared.add(key)
    assert {"all_encoder_layers", "pooled_output", "masked_lm_log_probs"} <= compared
    assert len(compared) == len(golden)
