"""Hugging Face transformers: BertModel in eager PyTorch, with its fused attention."""

import numpy as np
import torch
import transformers

from benchmarks.peers.protocol import Case, Contender, serve
from benchmarks.peers.saved_inputs import (
    MATRIX_FLOPS,
    MATRIX_SIZE,
    THEIR_NAMES,
    Ids,
    Vectors,
    steps,
)


def build(case: Case) -> Contender:
    """The model without gradients."""
    torch.set_num_threads(case.threads)
    model = transformers.BertModel.from_pretrained(case.data, attn_implementation="sdpa").eval()

    def answer(ids: Ids) -> Vectors:
        with torch.inference_mode():
            inputs = {name: torch.from_numpy(value).long() for name, value in ids.items()}
            return np.asarray(model(**inputs).pooler_output)

    left, right = (torch.randn(MATRIX_SIZE, MATRIX_SIZE) for _ in range(2))
    return Contender(
        steps=steps(answer, case, THEIR_NAMES),
        matrix_product=lambda: left @ right,
        matrix_flops=MATRIX_FLOPS,
        versions=f"transformers {transformers.__version__}, torch {torch.__version__}",
    )


if __name__ == "__main__":
    serve(build)
