"""The words that a pretrained model puts in the place of each [MASK] of a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from bert_tf.inputs.features import pack
from bert_tf.tokenization import FullTokenizer

MASK = "[MASK]"


@dataclass(frozen=True)
class Candidate:
    """A token and its probability in the place of a [MASK]."""

    token: str
    probability: float


def fill_mask(
    model: keras.Model, tokenizer: FullTokenizer, sentence: str, top_k: int
) -> list[list[Candidate]]:
    """The likeliest tokens for every [MASK] of a sentence.

    Args:
        model: A pretrainer.
        tokenizer: Of the model's vocabulary. Ids that it lacks are never candidates: some released
            tables are padded with rows beyond the vocabulary.
        sentence: Text with one [MASK] or more.
        top_k: Candidates for each.

    Returns:
        For each [MASK], in order, its candidates, the likeliest first.

    Raises:
        ValueError: If there is no [MASK], the sentence is longer than the model's positions, or
            the vocabulary is larger than the model's.
    """
    arguments = model.encoder.get_config()
    vocab = _checked_vocab(tokenizer, arguments["vocab_size"])
    ids = _encode(tokenizer, sentence, vocab)
    longest = arguments["max_position_embeddings"]
    specials = 2
    if len(ids) + specials > longest:
        raise ValueError(
            f"The sentence may have at most {longest - specials} tokens for this model, but has "
            f"{len(ids)}. Shorten it."
        )
    packed = pack(
        ids, max_seq_length=len(ids) + specials, cls_id=vocab["[CLS]"], sep_id=vocab["[SEP]"]
    )
    positions = [index for index, token in enumerate(packed.input_ids) if token == vocab[MASK]]
    outputs = model(
        {
            "input_word_ids": np.array([packed.input_ids], "int32"),
            "input_mask": np.array([packed.input_mask], "int32"),
            "input_type_ids": np.array([packed.segment_ids], "int32"),
            "masked_lm_positions": np.array([positions], "int32"),
        }
    )
    logits = ops.convert_to_numpy(outputs["mlm_logits"][0])[:, sorted(tokenizer.inv_vocab)]
    tokens = [token for _, token in sorted(tokenizer.inv_vocab.items())]
    probabilities = ops.convert_to_numpy(ops.softmax(logits, axis=-1))  # [P, len(tokens)]
    best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :top_k]
    return [
        [Candidate(tokens[index], float(row[index])) for index in indices]
        for row, indices in zip(probabilities, best, strict=True)
    ]


def _checked_vocab(tokenizer: FullTokenizer, size: int) -> Mapping[str, int]:
    vocab = tokenizer.vocab
    missing = [token for token in ("[CLS]", "[SEP]", MASK) if token not in vocab]
    if missing:
        raise ValueError(f"The vocabulary must hold [CLS], [SEP] and [MASK], but lacks {missing}.")
    count = max(vocab.values()) + 1
    if count > size:
        raise ValueError(
            f"The vocabulary must be the model's: it holds {count} tokens and the config says "
            f"vocab_size = {size}. Use the --vocab_file that the model was trained with."
        )
    return vocab


def _encode(tokenizer: FullTokenizer, sentence: str, vocab: Mapping[str, int]) -> list[int]:
    """Token ids of a text in which [MASK] stands for itself (the tokenizer would split it)."""
    first, *rest = sentence.split(MASK)
    if not rest:
        raise ValueError(f"--sentence must hold {MASK} where a word is to be guessed: {sentence!r}")
    ids = list(tokenizer.encode(first))
    for part in rest:
        ids += [vocab[MASK], *tokenizer.encode(part)]
    return ids
