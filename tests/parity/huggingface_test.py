"""The same logits as `transformers`, from folders that we write.

Runs where BERT_TF_TRANSFORMERS_PYTHON names an interpreter that has torch and transformers.
"""

import json
import os
import subprocess

import numpy as np
import pytest

from bert_tf.config import BertConfig
from tests.bert_tf.conversion import huggingface_test as folders
from tests.support.small import batch

PYTHON = os.environ.get("BERT_TF_TRANSFORMERS_PYTHON")
SCRIPT = """
import json, sys
import torch, transformers
folder, architecture = sys.argv[1:]
ids, mask, types, positions = (torch.tensor(values) for values in json.load(sys.stdin))
model = getattr(transformers, architecture).from_pretrained(folder).eval()
with torch.no_grad():
    out = model(input_ids=ids, attention_mask=mask, token_type_ids=types)
names = ("last_hidden_state", "pooler_output", "logits", "start_logits", "end_logits",
         "prediction_logits", "seq_relationship_logits")
print(json.dumps({name: out[name].tolist() for name in names if name in out}))
"""
OURS = {
    "last_hidden_state": "sequence_output",
    "pooler_output": "pooled_output",
    "prediction_logits": "mlm_logits",
    "seq_relationship_logits": "nsp_logits",
}


@pytest.mark.skipif(
    not PYTHON,
    reason="BERT_TF_TRANSFORMERS_PYTHON names no interpreter with torch and transformers",
)
@pytest.mark.parametrize("activation", ["gelu", "gelu_exact"])
@pytest.mark.parametrize("architecture", folders.MODELS)
def test_logits_are_the_same(tmp_path, monkeypatch, architecture, activation):
    changed = BertConfig(**{**folders.CONFIG.to_dict(), "hidden_act": activation})
    monkeypatch.setattr(folders, "CONFIG", changed)
    model = folders.written(tmp_path / "hf", architecture)
    inputs = batch(4, 12, 12, vocab=30)
    inputs["masked_lm_positions"] = np.tile(np.arange(12, dtype="int32"), (4, 1))
    if architecture == "BertForMultipleChoice":
        inputs = {name: np.stack([value, value[::-1]], axis=1) for name, value in inputs.items()}
    if architecture != "BertForPreTraining":
        inputs.pop("masked_lm_positions")
    outputs = model(inputs)
    sent = [inputs.get(name) for name in ("input_word_ids", "input_mask", "input_type_ids")]
    done = subprocess.run(
        [str(PYTHON), "-c", SCRIPT, str(tmp_path / "hf"), architecture],
        input=json.dumps([*(value.tolist() for value in sent), 0]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs
    for name, values in theirs.items():
        ours = np.asarray(outputs[OURS.get(name, name)])
        values = np.array(values)
        if name == "last_hidden_state":  # what stands at padding is nobody's business
            real = inputs["input_mask"].astype(bool)
            ours, values = ours[real], values[real]
        if ours.ndim == 3:
            real = inputs["input_mask"].astype(bool)
            ours, values = ours[real], values[real]
        scale = max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(ours / scale, values / scale, atol=1e-5, err_msg=name)
