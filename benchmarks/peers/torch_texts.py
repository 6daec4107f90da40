"""Hugging Face transformers: BertForSequenceClassification on examples grouped by length.

In its best form here: eager PyTorch with scaled-dot-product attention and the fused AdamW, and all
batches in memory as tensors.
"""

import itertools

import torch
import transformers

from benchmarks.peers.hugging_face import MATRIX_SIZES, decay_groups, sizes_of
from benchmarks.peers.protocol import Case, Contender, serve
from benchmarks.peers.text_batches import PREDICT, TextBatches
from bert_tf.config import named_config


def build(case: Case) -> Contender:
    """The model with its optimizer, or for prediction alone."""
    torch.set_num_threads(case.threads)
    config = transformers.BertConfig(**sizes_of(named_config(case.model)), num_labels=2)
    model = transformers.BertForSequenceClassification(config)
    batches = [
        {name: torch.from_numpy(values) for name, values in batch.items()}
        for batch in TextBatches.load(case.data).batches(case.work)
    ]
    optimizer = torch.optim.AdamW(decay_groups(model), lr=1e-5, eps=1e-6, fused=True)
    endless = itertools.cycle(batches)

    def train(count: int) -> float:
        loss = torch.zeros([])
        for _ in range(count):
            loss = model(**next(endless)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return float(loss)

    @torch.inference_mode()
    def predict(count: int) -> float:
        outputs = []
        for _ in range(count):
            outputs = [
                model(**{name: each for name, each in batch.items() if name != "labels"}).logits
                for batch in batches
            ]
        return float(torch.cat(outputs).abs().mean())

    model.train(case.work != PREDICT)
    size = MATRIX_SIZES[case.precision]
    left, right = (torch.randn(size, size) for _ in range(2))
    return Contender(
        steps=predict if case.work == PREDICT else train,
        matrix_product=lambda: left @ right,
        matrix_flops=2.0 * size**3,
        versions=f"transformers {transformers.__version__}, torch {torch.__version__}",
    )


if __name__ == "__main__":
    serve(build)
