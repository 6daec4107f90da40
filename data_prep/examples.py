"""From a corpus to serialized examples: draw all, shuffle, then build rows in batches.

Drawn examples are offsets and predictions, 200 to 300 bytes each; ids are gathered from the
corpus only when a batch is written.
"""

from __future__ import annotations

import dataclasses
import random
from array import array
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bert_tf.inputs.features import pack_spans
from bert_tf.inputs.records import RecordSchema, pretraining_schema
from data_prep.documents import Corpus, Progress
from data_prep.masking import KEEP_TOKEN, POSITION_SHIFT, Masker
from data_prep.options import GenerationOptions, VocabularyIds
from data_prep.pairs import document_pairs

_DOCUMENTS_PER_REPORT = 64
_ROWS_PER_BATCH = 1024
_NO_PREDICTION = np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True)
class Drawn:
    """E examples as they were drawn, and the order in which they are written.

    Attributes:
      pairs: int64 [E, 5], start and end of a and of b in the corpus, 1 where b is from elsewhere.
      prediction_ends: int64 [E + 1], example e has predictions[ends[e]:ends[e + 1]].
      predictions: int64, see `masking.Masker.predictions`.
      order: int64 [E].
    """

    pairs: npt.NDArray[np.int64]
    prediction_ends: npt.NDArray[np.int64]
    predictions: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]


def draw_examples(
    corpus: Corpus,
    vocabulary: VocabularyIds,
    options: GenerationOptions,
    rng: random.Random,
    progress: Progress = lambda documents: None,
) -> Drawn:
    """All draws of a run, in the original's order (its create_training_instances).

    Args:
      corpus: all documents in reading order.
      vocabulary: ids of special tokens and replacements.
      options: what to draw; `random_seed` is not read here.
      rng: a fresh `random.Random(seed)` gives what the original gives.
      progress: called with the number of documents done since the last call.
    """
    order = list(range(corpus.documents))
    rng.shuffle(order)
    continuation = b""
    if options.do_whole_word_mask:
        continuation = vocabulary.continuation[corpus.tokens].tobytes()
    masker = Masker(options, vocabulary, continuation, rng)
    pairs, predictions, ends = array("q"), array("q"), array("q", [0])
    for _ in range(options.dupe_factor):
        for place in range(len(order)):
            for pair in document_pairs(corpus, order, place, options, rng):
                pairs.extend(pair)
                predictions.extend(masker.predictions(pair))
                ends.append(len(predictions))
            if (place + 1) % _DOCUMENTS_PER_REPORT == 0:
                progress(_DOCUMENTS_PER_REPORT)
        progress(len(order) % _DOCUMENTS_PER_REPORT)
    written = list(range(len(ends) - 1))
    rng.shuffle(written)
    return Drawn(
        pairs=np.frombuffer(pairs, np.int64).reshape(-1, 5),
        prediction_ends=np.frombuffer(ends, np.int64),
        predictions=np.frombuffer(predictions, np.int64),
        order=np.array(written, np.int64),
    )


def encode_examples(
    drawn: Drawn, corpus: Corpus, vocabulary: VocabularyIds, options: GenerationOptions
) -> Iterator[list[bytes]]:
    """Batches of serialized examples, in writing order."""
    schema: RecordSchema = pretraining_schema(
        options.max_seq_length, options.max_predictions_per_seq
    )
    for start in range(0, len(drawn.order), _ROWS_PER_BATCH):
        rows = drawn.order[start : start + _ROWS_PER_BATCH]
        yield schema.encode_rows(example_columns(drawn, rows, corpus, vocabulary, options))


def example_columns(
    drawn: Drawn,
    rows: npt.NDArray[np.int64],
    corpus: Corpus,
    vocabulary: VocabularyIds,
    options: GenerationOptions,
) -> dict[str, npt.NDArray[np.int32 | np.float32]]:
    """The features of the examples `rows` [B], each [B, length] as in `pretraining_schema`."""
    columns: dict[str, npt.NDArray[np.int32 | np.float32]] = {
        **pack_spans(
            corpus.tokens,
            drawn.pairs[rows, :4],
            max_seq_length=options.max_seq_length,
            cls_id=vocabulary.cls,
            sep_id=vocabulary.sep,
        )
    }
    sorted_predictions = _sorted_predictions(drawn, rows, options.max_predictions_per_seq)
    is_set = sorted_predictions != _NO_PREDICTION  # [B, P]
    positions = np.where(is_set, sorted_predictions >> POSITION_SHIFT, 0)
    replacements = sorted_predictions & ((1 << POSITION_SHIFT) - 1)
    ids = columns["input_ids"]
    labels = np.take_along_axis(ids, positions, axis=1)
    inserted = np.where(replacements == KEEP_TOKEN, labels, replacements - 1)
    row_of, _ = np.nonzero(is_set)
    ids[row_of, positions[is_set]] = inserted[is_set]
    columns["masked_lm_positions"] = positions.astype(np.int32)
    columns["masked_lm_ids"] = np.where(is_set, labels, 0).astype(np.int32)
    columns["masked_lm_weights"] = is_set.astype(np.float32)
    columns["next_sentence_labels"] = drawn.pairs[rows, 4:].astype(np.int32)
    return columns


def _sorted_predictions(
    drawn: Drawn, rows: npt.NDArray[np.int64], width: int
) -> npt.NDArray[np.int64]:
    """The predictions of each row by position, int64 [B, width], filled up at the end."""
    starts, ends = drawn.prediction_ends[rows], drawn.prediction_ends[rows + 1]
    source = starts[:, None] + np.arange(width)[None]
    if not len(drawn.predictions):  # every word was longer than the limit
        return np.full(source.shape, _NO_PREDICTION)
    held = drawn.predictions.take(source, mode="clip")
    return np.sort(np.where(source < ends[:, None], held, _NO_PREDICTION), axis=1)
