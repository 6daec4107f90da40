"""Rows of examples: packed as every other input of the project is."""

import random

import numpy as np
import pytest

from bert_tf.inputs.features import pack
from bert_tf.inputs.records import pretraining_schema
from data_prep.documents import Corpus
from data_prep.masking import KEEP_TOKEN, POSITION_SHIFT
from data_prep.options import GenerationOptions, VocabularyIds
from data_prep.rows import ExampleWriter
from tests.data_prep.drawn_test import TOKENS, drawn_of, random_examples

VOCABULARY = VocabularyIds(1, 2, 3, [0, 1, 2, 3], np.zeros(99, np.uint8))


def named(row, length, most):
    schema, at, features = pretraining_schema(length, most), 0, {}
    for feature in schema.features:
        features[feature.name] = row[at : at + feature.length].tolist()
        at += feature.length
    return features


@pytest.mark.parametrize(("length", "most"), [(16, 4), (200, 60)])
def test_rows_are_packed_like_single_examples(length, most):
    rng = random.Random(0)
    tokens = np.array([rng.randint(5, 98) for _ in range(TOKENS)], np.uint16)
    pairs, ends, predictions = random_examples(rng, 200, length, most)
    options = GenerationOptions(max_seq_length=length, max_predictions_per_seq=most)
    drawn = drawn_of((pairs, ends, predictions), np.arange(200), options)
    corpus = Corpus(tokens, np.array([0, TOKENS]), np.array([0, 1]))
    rows = ExampleWriter(drawn, corpus, VOCABULARY, options).values(drawn.order)
    for row, (start_a, end_a, start_b, end_b, is_random), first, end in zip(
        rows, pairs, ends[:-1], ends[1:], strict=True
    ):
        packed = pack(
            tokens[start_a:end_a].tolist(), tokens[start_b:end_b].tolist(),
            max_seq_length=length, cls_id=1, sep_id=2,
        )  # fmt: skip
        ids, wanted = list(packed.input_ids), []
        for prediction in sorted(predictions[first:end].tolist()):
            place, replacement = prediction >> POSITION_SHIFT, prediction & 0xFFFFFFFF
            wanted.append((place, ids[place]))
            if replacement != KEEP_TOKEN:
                ids[place] = replacement - 1
        padding = [0] * (most - len(wanted))
        one = int(np.float32(1).view(np.int32))
        assert named(row, length, most) == {
            "input_ids": ids,
            "input_mask": packed.input_mask,
            "segment_ids": packed.segment_ids,
            "masked_lm_positions": [place for place, _ in wanted] + padding,
            "masked_lm_ids": [label for _, label in wanted] + padding,
            "masked_lm_weights": [one] * len(wanted) + padding,
            "next_sentence_labels": [is_random],
        }
