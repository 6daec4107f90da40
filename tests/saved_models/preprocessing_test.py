"""The exported preprocessor: the published interface, and the numbers of the project's own."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_hub as hub

from bert_tf.files import new_folder
from bert_tf.inputs.features import pack
from bert_tf.tokenization import FullTokenizer
from saved_models.building import Request
from saved_models.export import export, verify
from saved_models.preprocessing import expected_answers, pack_inputs
from saved_models.samples import TEXTS

ROOT = Path(__file__).parents[2]
VOCAB = ROOT / "tests" / "goldens" / "vocab.txt"
WORDS = ["the", "lamp", "é", "stairs", ",", "unaffable", "漢"]


def request(max_seq_length=16):
    return Request("preprocessor", VOCAB, True, max_seq_length)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export that was moved after it was written."""
    folder = tmp_path_factory.mktemp("models")
    said = export(request(), folder / "first")
    assert said == f"{folder / 'first'}: 4 calls answer as they should"
    shutil.move(folder / "first", folder / "moved")
    return folder / "moved"


@pytest.fixture(scope="module")
def model(exported):
    return hub.load(str(exported))


def test_published_names_shapes_and_types(model):
    texts = tf.constant(["the lamp", "é stairs"])
    inputs = model(texts)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    assert sorted(inputs) == sorted(names)
    assert {(value.dtype, tuple(value.shape)) for value in inputs.values()} == {(tf.int32, (2, 16))}
    tokens = model.tokenize(texts)
    assert (tokens.dtype, tokens.ragged_rank) == (tf.int32, 2)
    with_offsets = model.tokenize_with_offsets(texts)
    assert [part.dtype for part in with_offsets] == [tf.int32, tf.int64, tf.int64]
    assert with_offsets[0].to_list() == tokens.to_list()
    vocab = FullTokenizer(VOCAB).vocab
    expected = {
        "padding_id": vocab["[PAD]"], "start_of_sequence_id": vocab["[CLS]"],
        "end_of_segment_id": vocab["[SEP]"], "mask_id": vocab["[MASK]"], "vocab_size": len(vocab),
    }  # fmt: skip
    for part in (model.tokenize, model.tokenize_with_offsets):
        ids = part.get_special_tokens_dict()
        assert {name: int(value) for name, value in ids.items()} == expected
        assert {value.dtype for value in ids.values()} == {tf.int32}
    assert Path(model.vocab_file.asset_path.numpy().decode()).read_bytes() == VOCAB.read_bytes()
    assert bool(model.do_lower_case)


@pytest.mark.parametrize("seq_length", [4, 5, 8, 9, 16, 33])
@pytest.mark.parametrize("parts", [1, 2])
def test_packing_equals_the_one_packing_function(model, seq_length, parts):
    tokenizer = FullTokenizer(VOCAB)
    rng = random.Random(seq_length)
    texts = [[" ".join(rng.choices(WORDS, k=rng.randint(0, 20))) for _ in range(60)] for _ in "ab"]
    tokens = [model.tokenize(tf.constant(part)) for part in texts[:parts]]
    by_words = model.bert_pack_inputs(tokens, seq_length=seq_length)
    flat = [part.merge_dims(1, 2) for part in tokens]
    found = model.bert_pack_inputs(flat, seq_length=tf.constant(seq_length))
    for name, value in found.items():
        assert value.numpy().tolist() == by_words[name].numpy().tolist()
    for row in range(60):
        packed = pack(
            tokenizer.encode(texts[0][row]),
            tokenizer.encode(texts[1][row]) if parts == 2 else None,
            max_seq_length=seq_length,
            cls_id=tokenizer.vocab["[CLS]"],
            sep_id=tokenizer.vocab["[SEP]"],
        )
        assert found["input_word_ids"][row].numpy().tolist() == packed.input_ids
        assert found["input_mask"][row].numpy().tolist() == packed.input_mask
        assert found["input_type_ids"][row].numpy().tolist() == packed.segment_ids


@pytest.mark.parametrize("splits", [tf.int32, tf.int64])
@pytest.mark.parametrize("parts", [1, 2])
def test_packing_of_rows_that_are_empty(parts, splits):
    rows = [[[], [11, 12], [], [13] * 9], [[], [], [21], [22] * 9]][:parts]
    inputs = [tf.ragged.constant(part, tf.int32, row_splits_dtype=tf.int64) for part in rows]
    inputs[-1] = inputs[-1].with_row_splits_dtype(splits)
    found = pack_inputs(inputs, tf.constant(7), start=2, end=3, padding=9)
    for row, (a, *b) in enumerate(zip(*rows, strict=True)):
        packed = pack(a, b[0] if b else None, max_seq_length=7, cls_id=2, sep_id=3)
        size = sum(packed.input_mask)
        expected = packed.input_ids[:size] + [9] * (7 - size)
        assert found["input_word_ids"][row].numpy().tolist() == expected
        assert found["input_mask"][row].numpy().tolist() == packed.input_mask
        assert found["input_type_ids"][row].numpy().tolist() == packed.segment_ids


@pytest.mark.parametrize("parts", [1, 2])
def test_packing_of_no_rows(model, parts):
    tokens = [model.tokenize(tf.constant([], tf.string))] * parts
    for given in (tokens, [part.merge_dims(1, 2) for part in tokens]):
        packed = model.bert_pack_inputs(given, seq_length=8)
        assert {tuple(value.shape) for value in packed.values()} == {(0, 8)}


@pytest.mark.parametrize("sizes", [(1, 3), (3, 1), (1, 0)])
def test_parts_of_different_numbers_of_rows_are_refused(model, sizes):
    tokens = [model.tokenize(tf.constant(["the lamp"] * size, tf.string)) for size in sizes]
    with pytest.raises(tf.errors.InvalidArgumentError, match="both lists must have as many rows"):
        model.bert_pack_inputs(tokens, seq_length=8)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_length_without_room_is_refused(model, parts):
    tokens = [model.tokenize(tf.constant(["the lamp"]))] * parts
    with pytest.raises(tf.errors.InvalidArgumentError, match="seq_length must be above the number"):
        model.bert_pack_inputs(tokens, seq_length=parts + 1)


def test_the_default_length_is_that_of_the_export(model):
    tokens = model.tokenize(tf.constant(["the lamp"]))
    assert model.bert_pack_inputs([tokens])["input_mask"].shape == (1, 16)


def test_works_inside_a_dataset_and_a_function(model):
    data = tf.data.Dataset.from_tensor_slices(["the lamp", "stairs"]).batch(2).map(model)
    (batch,) = data
    direct = tf.function(model)(tf.constant(["the lamp", "stairs"]))
    for name, value in batch.items():
        assert value.numpy().tolist() == direct[name].numpy().tolist()


def test_saved_again_inside_another_model(model, tmp_path):
    outer = tf.Module()
    outer.inner = model
    outer.call = tf.function(
        lambda texts: model(texts)["input_word_ids"],
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(outer, str(tmp_path / "outer"))
    again = tf.saved_model.load(str(tmp_path / "outer"))
    expected = model(tf.constant(TEXTS))["input_word_ids"].numpy().tolist()
    assert again.call(tf.constant(TEXTS)).numpy().tolist() == expected
    assert again.inner.tokenize(tf.constant(["the"])).to_list() == [[[120]]]


def test_verification_notices_another_answer(exported):
    cases = expected_answers(request())
    cases[0]["expected"]["input_mask"][0][0] = 0
    with pytest.raises(
        RuntimeError, match=r"fresh process: .*input_mask\[0\]\[0\] is 1, but should be 0"
    ):
        verify(exported, cases)


def test_a_folder_that_is_there_is_refused_and_failures_leave_nothing(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match=r"--export_dir must be new, but .*there is there"):
        export(request(), tmp_path / "there")
    with pytest.raises(ValueError, match=r"--max_seq_length must be above 3 .*; got 3"):
        export(request(3), tmp_path / "short")
    with pytest.raises(FileExistsError), new_folder(tmp_path / "broken") as partial:
        partial.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_command(tmp_path):
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    command = [sys.executable, "-m", "saved_models.export", "--export_type=preprocessor"]
    command += [f"--vocab_file={vocab}", f"--export_dir={tmp_path / 'out'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"error: The vocabulary must hold [MASK], but {vocab} with its 5 tokens" in done.stderr
    assert not (tmp_path / "out").exists()
