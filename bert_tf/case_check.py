"""Whether a tokenizer's case fits a released model, by the model's name.

A part of `bert_tf.tokenization`, where the original has it.
"""

import re

_LOWER_CASE_MODELS = frozenset(
    [f"uncased_L-{layers}_H-{64 * heads}_A-{heads}" for layers in range(2, 13, 2)
     for heads in (2, 4, 8, 12)]
    + ["uncased_L-24_H-1024_A-16", "wwm_uncased_L-24_H-1024_A-16",
       "multilingual_L-12_H-768_A-12", "chinese_L-12_H-768_A-12"]
)  # fmt: skip
_CASED_MODELS = frozenset(
    ["cased_L-12_H-768_A-12", "cased_L-24_H-1024_A-16",
     "wwm_cased_L-24_H-1024_A-16", "multi_cased_L-12_H-768_A-12"]
)  # fmt: skip


def validate_case_matches_checkpoint(do_lower_case: bool, init_checkpoint: str | None) -> None:
    """Refuses a `do_lower_case` that contradicts a released model's name in the path.

    Only paths of the form `.../NAME/bert_model.ckpt` are judged, for the names of the 33
    released models; the multilingual (uncased) and Chinese ones count as lower-case.

    Raises:
        ValueError: the checkpoint's vocabulary has the other case.
    """
    match = re.match(r"^.*?([A-Za-z0-9_-]+)/bert_model.ckpt", init_checkpoint or "")
    if match is None:
        return
    name = match.group(1)
    wrong_lower = do_lower_case and name in _CASED_MODELS
    wrong_cased = not do_lower_case and name in _LOWER_CASE_MODELS
    if wrong_lower or wrong_cased:
        kind = "cased" if wrong_lower else "lower-case"
        raise ValueError(
            f"do_lower_case must fit the checkpoint: {name} is a {kind} model, but "
            f"do_lower_case={bool(do_lower_case)} came with init_checkpoint={init_checkpoint}. "
            f"Pass --do_lower_case={not do_lower_case}, or choose another checkpoint; if it was "
            f"trained anew with this case, move it out of a directory named {name}."
        )
