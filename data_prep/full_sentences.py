"""Full sentences without a second part: nothing is asked about the next sentence.

As RoBERTa's FULL-SENTENCES (arXiv 1907.11692, section 4.2): a sequence is filled with whole
sentences that follow each other in the input; where a document ends the next one begins behind a
[SEP]. All types are 0, and so is `next_sentence_labels`. A sentence longer than a sequence goes on
in the next one, so that no token is lost. Packing draws nothing, documents stay in the order of
the input, and --short_seq_prob does not apply. Compiled.

A run of sentences is a pair (see `pairs`) whose part b is empty: both its ends hold the number of
the document that the run begins in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.masking import MaskRules, draw_in_parts
from data_prep.mersenne import Twister
from data_prep.pairs import END_A, END_B, IS_RANDOM, START_A, START_B, Longs

SPECIALS = 2  # [CLS], [SEP]; those between documents count as tokens
# Where packing stands: next token, its sentence, the document of that.
TOKEN, SENTENCE, DOCUMENT = range(3)


@compiled
def draw_runs(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    sentence_starts: Longs,
    document_starts: Longs,
    cursor: Longs,
    max_tokens: int,
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
) -> int:
    """Fills a block with runs and their predictions; how many, 0 at the end of the corpus.

    Args:
      twister: advanced by the predictions.
      rules: see `masking`.
      tokens, sentence_starts, document_starts: see `documents.Corpus`.
      cursor: int64 [3], moved; all 0 at the start.
      max_tokens: of a run, without [CLS] and the last [SEP].
      pairs: int64 [rows, 5], written.
      ends: int64 [rows], written: predictions up to each row.
      predictions: written.
    """
    examples = count = 0
    while examples < len(pairs) and cursor[SENTENCE] < len(sentence_starts) - 1:
        run = pairs[examples]
        _pack_run(sentence_starts, document_starts, cursor, max_tokens, run)
        parts = _find_parts(sentence_starts, document_starts, run, rules.part_ends)
        count += draw_in_parts(twister, rules, tokens, run, parts, predictions[count:])
        ends[examples] = count
        examples += 1
    return examples


@compiled
def _pack_run(
    sentence_starts: Longs, document_starts: Longs, cursor: Longs, max_tokens: int, run: Longs
) -> None:
    """Takes sentences from the cursor on while they fit; moves it behind them."""
    begin = end = cursor[TOKEN]
    sentence, document = cursor[SENTENCE], cursor[DOCUMENT]
    run[START_A], run[START_B], run[END_B], run[IS_RANDOM] = begin, document, document, 0
    used = 0
    while sentence < len(sentence_starts) - 1:
        after = sentence_starts[sentence + 1]
        starts_document = sentence == document_starts[document + 1]
        needed = after - end + (starts_document and end > begin)
        if used + needed > max_tokens:
            if end == begin:
                end += max_tokens
            break
        used += needed
        end = after
        document += starts_document
        sentence += 1
    # The next run begins in the document of its first token.
    if sentence < len(sentence_starts) - 1 and sentence == document_starts[document + 1]:
        document += 1
    run[END_A] = end
    cursor[TOKEN], cursor[SENTENCE], cursor[DOCUMENT] = end, sentence, document


@compiled
def _find_parts(
    sentence_starts: Longs, document_starts: Longs, run: Longs, part_ends: Longs
) -> int:
    """Writes where each document of a run ends in it; how many they are."""
    parts = 0
    document = run[START_B]
    while True:
        end = min(sentence_starts[document_starts[document + 1]], run[END_A])
        part_ends[parts] = end - run[START_A]
        parts += 1
        document += 1
        if end == run[END_A]:
            return parts


@compiled
def lay_out_run(
    tokens: npt.NDArray[np.integer],
    sentence_starts: Longs,
    document_starts: Longs,
    run: Longs,
    sep_id: int,
    ids: npt.NDArray[np.int32],
) -> int:
    """Writes a run's tokens behind ids[0], with a [SEP] behind each document; the end."""
    part_ends = np.empty(len(ids), np.int64)
    parts = _find_parts(sentence_starts, document_starts, run, part_ends)
    at, begin = 1, 0
    for part in range(parts):
        end = at + part_ends[part] - begin
        ids[at:end] = tokens[run[START_A] + begin : run[START_A] + part_ends[part]]
        ids[end] = sep_id
        at, begin = end + 1, part_ends[part]
    return at
