"""Hugging Face transformers: BertForPreTraining in eager PyTorch.

Given its best form here: scaled-dot-product attention and the fused AdamW.
"""

import contextlib
import itertools
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.peers.batches import Batch, pretraining_batches
from benchmarks.peers.protocol import Case, Contender, serve
from bert_tf.config import BertConfig, named_config

# Without bfloat16 units, a large product in bfloat16 takes PyTorch minutes.
MATRIX_SIZES = {"float32": 2048, "bfloat16": 256}
IGNORED = -100  # the label of a position that is not predicted


def inputs_of(batch: Batch) -> dict[str, torch.Tensor]:
    """A batch as BertForPreTraining takes it: labels at their places in the sequence."""
    labels = np.full(batch["input_ids"].shape, IGNORED, np.int64)
    np.put_along_axis(labels, batch["masked_lm_positions"], batch["masked_lm_ids"], axis=1)
    arrays = {
        "input_ids": batch["input_ids"].astype(np.int64),
        "attention_mask": batch["input_mask"].astype(np.int64),
        "token_type_ids": batch["segment_ids"].astype(np.int64),
        "labels": labels,
        "next_sentence_label": batch["next_sentence_labels"][:, 0].astype(np.int64),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def sizes_of(config: BertConfig) -> dict[str, Any]:
    """Arguments of its config for the same sizes, with the activation of the release."""
    sizes = {name: value for name, value in config.to_dict().items() if name != "hidden_act"}
    fixed = {"layer_norm_eps": 1e-12, "attn_implementation": "sdpa"}
    return {**sizes, "hidden_act": "gelu_new", **fixed}


def build_model(config: BertConfig) -> transformers.BertForPreTraining:
    """Its model of the same sizes."""
    return transformers.BertForPreTraining(transformers.BertConfig(**sizes_of(config)))


def decay_groups(model: torch.nn.Module) -> list[dict[str, object]]:
    """Parameters with and without weight decay, as the release chooses them."""
    plain = [p for name, p in model.named_parameters() if "LayerNorm" in name or "bias" in name]
    taken = {id(parameter) for parameter in plain}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    return [{"params": rest, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]


def build(case: Case) -> Contender:
    """The model, AdamW and clipping."""
    torch.set_num_threads(case.threads)
    config = named_config(case.model)
    model = build_model(config).train()
    optimizer = torch.optim.AdamW(decay_groups(model), lr=1e-4, eps=1e-6, fused=True)
    batches = pretraining_batches(config, case.batch_size, case.length)
    inputs = itertools.cycle([inputs_of(batch) for batch in batches])
    dtype = getattr(torch, case.precision)

    def steps(count: int) -> float:
        loss = torch.zeros([])
        for _ in range(count):
            low = case.precision != "float32"
            with torch.autocast("cpu", dtype) if low else contextlib.nullcontext():
                loss = model(**next(inputs)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return float(loss)

    size = MATRIX_SIZES[case.precision]
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    return Contender(
        steps=steps,
        matrix_product=lambda: left @ right,
        matrix_flops=2.0 * size**3,
        versions=f"transformers {transformers.__version__}, torch {torch.__version__}",
    )


if __name__ == "__main__":
    serve(build)
