"""ONNX Runtime with its transformer fusions: attention, GELU, normalisation."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions

from benchmarks.peers.protocol import Case, Contender, serve
from benchmarks.peers.saved_inputs import (
    MATRIX_FLOPS,
    MATRIX_SIZE,
    THEIR_NAMES,
    Ids,
    Vectors,
    steps,
)

FILE, FUSED = "model.onnx", "fused.onnx"
OPSET = 17
OUTPUTS = ["sequence_output", "pooled_output"]
FUSIONS = ("EmbedLayerNormalization", "Attention", "SkipLayerNormalization", "FastGelu")


class _Tuples(torch.nn.Module):
    """The model as the exporter wants it: inputs by place, a tuple of outputs."""

    def __init__(self, model: transformers.BertModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = self.model(input_ids=ids, attention_mask=mask, token_type_ids=types)
        return outputs.last_hidden_state, outputs.pooler_output


def export(source: str, folder: Path) -> None:
    """Writes the fused model of a Hugging Face folder."""
    model = transformers.BertModel.from_pretrained(source, attn_implementation="eager").eval()
    ids = torch.ones(1, 8, dtype=torch.long)
    names = list(THEIR_NAMES.values())
    torch.onnx.export(
        _Tuples(model),
        (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        str(folder / FILE),
        input_names=names,
        output_names=OUTPUTS,
        dynamic_axes={name: {0: "batch", 1: "length"} for name in (*names, OUTPUTS[0])},
        opset_version=OPSET,
        dynamo=False,  # whose graphs the fusions do not know
    )
    fused = optimizer.optimize_model(
        str(folder / FILE),
        "bert",
        num_heads=model.config.num_attention_heads,
        hidden_size=model.config.hidden_size,
        optimization_options=FusionOptions("bert"),
    )
    counts = fused.get_fused_operator_statistics()
    if not all(counts[name] for name in FUSIONS):
        raise RuntimeError(f"ONNX Runtime must fuse {', '.join(FUSIONS)}, but did {counts}.")
    fused.save_model_to_file(str(folder / FUSED))


def build(case: Case) -> Contender:
    """A session on the fused model, made by the first who needs it."""
    folder = Path(case.data).parent
    if not (folder / FUSED).exists():
        export(case.data, folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case.threads
    # Its threads would spin between turns that are not theirs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        str(folder / FUSED), options, providers=["CPUExecutionProvider"]
    )
    types = {given.name: given.type for given in session.get_inputs()}

    def answer(ids: Ids) -> Vectors:
        inputs = {
            name: value if types[name] == "tensor(int32)" else value.astype(np.int64)
            for name, value in ids.items()
        }
        return np.asarray(session.run(OUTPUTS, inputs)[1])

    left, right = (np.ones([MATRIX_SIZE, MATRIX_SIZE], np.float32) for _ in range(2))
    return Contender(
        steps=steps(answer, case, THEIR_NAMES),
        matrix_product=lambda: left @ right,
        matrix_flops=MATRIX_FLOPS,
        versions=f"onnxruntime {onnxruntime.__version__}",
    )


if __name__ == "__main__":
    serve(build)
