"""BERT in PyTorch: transformers' model with torch.compile and its fastest attention and AdamW.

The output layer sees the masked positions alone, as ours does: transformers' own loss would
compute the logits of every token.
"""

import itertools
from collections.abc import Callable

import torch
import transformers
from torch.nn import functional

from benchmarks.peers.batches import Batch, pretraining_batches
from benchmarks.peers.hugging_face import build_model, decay_groups
from benchmarks.peers.protocol import Case, Contender, serve
from bert_tf.config import named_config

MATRIX_PRODUCTS = 10

Tensors = dict[str, torch.Tensor]


def on_device(batch: Batch, device: str) -> Tensors:
    """A batch with 64-bit ids, as PyTorch's embeddings and losses like them best."""
    return {
        name: torch.from_numpy(array).to(device).to(torch.int64 if "weights" not in name else None)
        for name, array in batch.items()
    }


def pretraining_loss(model: transformers.BertForPreTraining, batch: Tensors) -> torch.Tensor:
    """Sum of the losses of both tasks."""
    encoded = model.bert(
        input_ids=batch["input_ids"],
        attention_mask=batch["input_mask"],
        token_type_ids=batch["segment_ids"],
    )
    sequence = encoded.last_hidden_state  # [B, T, H]
    places = batch["masked_lm_positions"][..., None].expand(-1, -1, sequence.shape[-1])
    words = model.cls.predictions(torch.gather(sequence, 1, places))  # [B, P, V]
    follows = model.cls.seq_relationship(encoded.pooler_output)  # [B, 2]
    word_loss = functional.cross_entropy(
        words.flatten(0, 1).float(), batch["masked_lm_ids"].flatten()
    )
    return word_loss + functional.cross_entropy(
        follows.float(), batch["next_sentence_labels"].flatten()
    )


def build(case: Case) -> Contender:
    """The compiled loss, AdamW and clipping."""
    torch.set_num_threads(case.threads)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if case.device == "gpu" else "cpu"
    config = named_config(case.model)
    model = build_model(config).train().to(device)
    optimizer = torch.optim.AdamW(decay_groups(model), lr=1e-4, eps=1e-6, fused=True)
    batches = itertools.cycle(
        on_device(batch, device)
        for batch in pretraining_batches(config, case.batch_size, case.length)
    )
    dtype = getattr(torch, case.precision)
    compute: Callable[..., torch.Tensor] = pretraining_loss
    if case.compiled:
        compute = torch.compile(pretraining_loss)

    def steps(count: int) -> float:
        loss = torch.zeros([])
        for _ in range(count):
            with torch.autocast(device, dtype, enabled=case.precision != "float32"):
                loss = compute(model, next(batches))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
            optimizer.step()
            optimizer.zero_grad()
        return float(loss)

    # Small on processors without bfloat16 units, where a large product takes PyTorch minutes.
    size = 8192 if case.device == "gpu" else 256
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

    def matrix_product() -> None:
        product = left
        for _ in range(MATRIX_PRODUCTS):
            product = left @ right
        product[0, 0].item()  # waits for the device

    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    form = "compiled" if case.compiled else "eager"
    packages = f"torch {torch.__version__} {form}, transformers {transformers.__version__}"
    return Contender(
        steps=steps,
        matrix_product=matrix_product,
        matrix_flops=2.0 * size**3 * MATRIX_PRODUCTS,
        versions=f"{packages}, {name}",
    )


if __name__ == "__main__":
    serve(build)
