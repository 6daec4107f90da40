"""Masks that are drawn anew each time a record is read, in the tf.data pipeline.

A record of pretraining holds its plain tokens: `masked_lm_ids` says what stood at the masked
positions. So any record file will do. The masks of an example are a function of the seed and of
its number, counted from the start of the run: number // records is the epoch, the rest the place
in the epoch's order. Nothing is remembered; a run that is resumed at a step draws what it would
have drawn.

The distribution is that of the generator without whole words: min(P, max(1, round(n * p))) of the n
tokens, never [CLS] or [SEP], of which 80 % become [MASK], 10 % a random token and 10 % stay.

Numbers are drawn by mixing (seed, example, position) as SplitMix64 does (G. Steele, D. Lea and
C. Flood, "Fast splittable pseudorandom number generators", 2014): a few operations on whole
batches, the same on every device and in every batch size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from bert_tf.inputs.records import RecordError, RecordSchema, read_manifest
from bert_tf.tokenization import load_vocab, require_tokens

Batch = dict[str, tf.Tensor]

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the predictions
_CLS, _SEP, _MASK = "[CLS]", "[SEP]", "[MASK]"
_GAMMA = 0x9E3779B97F4A7C15
_CHOICE, _REPLACEMENT, _WORD = range(1, 4)  # what is drawn


@dataclass(frozen=True)
class DynamicMasking:
    """How masks are drawn.

    Attributes:
        seed: Of all draws.
        probability: Share of the tokens to mask.
        cls, sep, mask: Ids of the special tokens.
        words: The id of each different token of the vocabulary.
        wanted: For 0 .. max_seq_length tokens, how many are masked.
    """

    seed: int
    probability: float
    cls: int
    sep: int
    mask: int
    words: tuple[int, ...]
    wanted: tuple[int, ...]

    @classmethod
    def for_records(
        cls, schema: RecordSchema, vocab_file: str | Path, probability: float, seed: int
    ) -> DynamicMasking:
        """Masks for records of a schema.

        Raises:
            RecordError: The probability is none.
            FileNotFoundError, MissingTokenError, ValueError: The vocabulary cannot be used.
        """
        if not 0.0 < probability <= 1.0:
            raise RecordError(f"--masked_lm_prob must be above 0, at most 1; got {probability}.")
        vocab = load_vocab(vocab_file)
        require_tokens(vocab, (_CLS, _SEP, _MASK), vocab_file)
        most = schema["masked_lm_positions"].length
        lengths = range(schema["input_ids"].length + 1)
        return cls(
            seed,
            probability,
            cls=vocab[_CLS],
            sep=vocab[_SEP],
            mask=vocab[_MASK],
            words=tuple(vocab.values()),
            wanted=tuple(min(most, max(1, round(size * probability))) for size in lengths),
        )

    def check(self, vocab_file: str | Path, record_files: Iterable[str], limit: int) -> None:
        """Raises RecordError where records or config belong to another vocabulary.

        Args:
            vocab_file: The vocabulary.
            record_files: Records, whose manifests say what they were made with.
            limit: Ids of the config.
        """
        digest = hashlib.sha256(Path(vocab_file).read_bytes()).hexdigest()
        for path in record_files:
            manifest = read_manifest(path)
            if manifest and manifest.vocab_sha256 and manifest.vocab_sha256 != digest:
                raise RecordError(
                    f"{path} was not made with the vocabulary {vocab_file}, whose ids "
                    "--dynamic_masking would write. Give the vocabulary of the records."
                )
        if max(self.words) >= limit:
            raise RecordError(
                f"{vocab_file} has ids up to {max(self.words)}, but the config's vocab_size is "
                f"{limit}. Use the config that belongs to the vocabulary."
            )


def remask(batch: Batch, numbers: tf.Tensor, masking: DynamicMasking) -> Batch:
    """A batch of records with other masks.

    Args:
        batch: Features of pretraining, [B, T] and [B, P].
        numbers: int64 [B], the number of each example in the run.
        masking: How.

    Returns:
        The same features; positions are in rising order, and unused ones 0 with weight 0.0.
    """
    plain = unmask(batch)  # [B, T]
    T, P = plain.shape[1], batch["masked_lm_positions"].shape[1]
    special = (plain == masking.cls) | (plain == masking.sep)
    is_word = tf.cast(batch["input_mask"], tf.bool) & ~special
    length = tf.reduce_sum(batch["input_mask"], axis=1)  # [B]
    count = tf.minimum(
        tf.gather(tf.constant(masking.wanted, tf.int32), length),
        tf.reduce_sum(tf.cast(is_word, tf.int32), axis=1),
    )
    keys = tf.cast(numbers, tf.uint64)[:, None]
    places = tf.range(T, dtype=tf.int32)[None]
    order = _mixed(masking.seed, keys, places, _CHOICE)  # [B, T]
    # The largest numbers win; those of special tokens and of the padding never do.
    order = tf.where(is_word, tf.cast(tf.bitwise.right_shift(order, _u64(2)), tf.int64), -1)
    chosen = tf.math.top_k(order, k=min(P, T)).indices
    chosen = tf.pad(chosen, [[0, 0], [0, P - min(P, T)]])
    used = tf.range(P)[None] < count[:, None]  # [B, P]
    chosen = tf.sort(tf.where(used, chosen, T), axis=1)
    positions = tf.where(used, chosen, 0)
    words = tf.gather(plain, positions, batch_dims=1)
    written = tf.where(used, _replacements(words, keys, positions, masking), plain[:, :1])
    return {
        **batch,
        "input_ids": _put(plain, positions, written),
        "masked_lm_positions": positions,
        "masked_lm_ids": tf.where(used, words, 0),
        "masked_lm_weights": tf.cast(used, tf.float32),
    }


def unmask(batch: Batch) -> tf.Tensor:
    """The tokens as they were before masking, int32 [B, T]."""
    used = batch["masked_lm_weights"] > 0.0
    ids = batch["input_ids"]
    # Unused entries write what stands at position 0, which is never masked: [CLS].
    positions = tf.where(used, batch["masked_lm_positions"], 0)
    return _put(ids, positions, tf.where(used, batch["masked_lm_ids"], ids[:, :1]))


def _replacements(
    words: tf.Tensor, keys: tf.Tensor, positions: tf.Tensor, masking: DynamicMasking
) -> tf.Tensor:
    """What is written at the masked positions, [B, P]."""
    draw = _share(_mixed(masking.seed, keys, positions, _REPLACEMENT))
    other = _share(_mixed(masking.seed, keys, positions, _WORD))
    vocabulary = tf.constant(masking.words, tf.int32)
    index = tf.cast(other * len(masking.words), tf.int32)
    replaced = tf.where(draw < MASK_SHARE + RANDOM_SHARE, tf.gather(vocabulary, index), words)
    return tf.where(draw < MASK_SHARE, masking.mask, replaced)


def _put(ids: tf.Tensor, positions: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(positions))
    return tf.tensor_scatter_nd_update(ids, tf.stack([rows, positions], axis=-1), values)


def _u64(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint64)


def _mixed(seed: int, keys: tf.Tensor, places: tf.Tensor, purpose: int) -> tf.Tensor:
    """Random uint64 [B, N], a function of seed, key [B, 1], place [B or 1, N] and purpose."""
    of_example = _finish(keys * _u64(_GAMMA) + _u64(_mixed_seed(seed, purpose)))
    return _finish(of_example + tf.cast(places + 1, tf.uint64) * _u64(_GAMMA))


def _mixed_seed(seed: int, purpose: int) -> int:
    return (seed * 0xD1342543DE82EF95 + purpose * 0xF1357AEA2E62A9C5) % 2**64


def _finish(value: tf.Tensor) -> tf.Tensor:
    """SplitMix64's finish: every bit depends on all bits."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        shifted = tf.bitwise.right_shift(value, _u64(shift))
        value = tf.bitwise.bitwise_xor(value, shifted) * _u64(factor)
    return tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, _u64(31)))


def _share(value: tf.Tensor) -> tf.Tensor:
    """Its upper 53 bits as float64 in [0, 1)."""
    return tf.cast(tf.bitwise.right_shift(value, _u64(11)), tf.float64) * 2.0**-53
