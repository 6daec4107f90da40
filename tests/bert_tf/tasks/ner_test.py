"""Named entities: column files, tags, windows, scores, predictions with offsets, mistakes."""

import json

import numpy as np
import pytest

from bert_tf.config import BertConfig
from bert_tf.modeling import bilstm
from bert_tf.tasks import ner_job
from bert_tf.tasks.ner import DOCUMENT, SENTENCE, NerFeaturizer
from bert_tf.tasks.ner_data import (
    Entity,
    begin_entities,
    entities_of,
    learn_tags,
    plain_words,
    read_columns,
    read_plain,
)
from bert_tf.tasks.ner_job import entity_scores
from bert_tf.tokenization import FullTokenizer
from tests.support import commands, small, toy

COLUMNS = """-DOCSTART- -X- O O

The DT O
lighthouse NN I-LOC
of IN I-LOC
Brest NNP I-LOC
Anna NNP I-PER
Kern NNP B-PER

It PRP O
was VBD O

-DOCSTART- -X- O O

Bread NN O
in IN O
Oslo NNP I-LOC
"""
TAGS = ("O", "B-LOC", "B-PER", "I-LOC")


def write(folder, content=COLUMNS, name="train.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_documents_sentences_and_tags(tmp_path):
    first, second = read_columns(write(tmp_path), tagged=True)
    assert [sentence.words for sentence in first] == [
        ("The", "lighthouse", "of", "Brest", "Anna", "Kern"),
        ("It", "was"),
    ]
    # B- begins every entity, and stays where it parted neighbours.
    assert first[0].tags == ("O", "B-LOC", "I-LOC", "I-LOC", "B-PER", "B-PER")
    assert second[0].text == "Bread in Oslo"
    assert second[0].starts == (0, 6, 9)
    assert learn_tags([first, second]) == TAGS


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-A I-A", "B-A I-A"),
        ("I-A I-B", "B-A B-B"),
        ("B-A I-A I-B", "B-A I-A B-B"),
        ("S-A B-A E-A", "S-A B-A E-A"),
    ],
)
def test_tags_that_begin(tags, expected):
    assert begin_entities(tags.split()) == expected.split()
    assert begin_entities(expected.split()) == expected.split()


def test_entities_are_those_of_seqeval():
    random = np.random.default_rng(1)
    names = ["O", "O", "B-A", "I-A", "B-B", "I-B", "S-A", "E-A", "E-B"]
    from seqeval.metrics.sequence_labeling import get_entities

    for _ in range(500):
        tags = random.choice(names, size=8).tolist()
        ours = [(entity.kind, entity.first, entity.last - 1) for entity in entities_of(tags)]
        assert ours == get_entities(tags), tags
    assert list(entities_of(["O", "B-A", "I-A"])) == [Entity("A", 1, 3)]


def test_scores_by_hand():
    gold = [["B-A", "I-A", "O", "B-B"], ["B-A"]]
    said = [["B-A", "I-A", "O", "O"], ["B-B"]]
    scores = entity_scores(gold, said)
    assert scores["precision"] == pytest.approx(1 / 2)
    assert scores["recall"] == pytest.approx(1 / 3)
    assert scores["f1"] == pytest.approx(0.4)
    assert scores["A_f1"] == pytest.approx(2 / 3)
    assert scores["B_f1"] == 0.0


@pytest.mark.parametrize("context", [DOCUMENT, SENTENCE])
@pytest.mark.parametrize("length", [8, 11, 64])
def test_every_word_is_tagged_once_at_its_first_piece(tmp_path, context, length):
    documents = read_columns(write(tmp_path), tagged=True)
    tokenizer = FullTokenizer(small.VOCAB)
    featurizer = NerFeaturizer(tokenizer, length, TAGS, context)
    tagged, table = featurizer.table(documents)
    sentences = [sentence for document in documents for sentence in document]
    seen = set()
    for row, words in enumerate(tagged):
        ids = table.columns["input_ids"][row]
        assert table.columns["label_weights"][row].sum() == len(words)
        for word in words:
            assert (word.sentence, word.word) not in seen
            seen.add((word.sentence, word.word))
            sentence = sentences[word.sentence]
            pieces = tokenizer.encode(sentence.words[word.word])
            assert ids[word.place] == pieces[0]
            assert table.columns["label_weights"][row][word.place] == 1
            label = TAGS[table.columns["label_ids"][row][word.place]]
            assert label == sentence.tags[word.word]
    assert seen == {(n, w) for n, s in enumerate(sentences) for w in range(len(s.words))}
    assert (featurizer.report() is not None) == (length < 64)
    if length == 64:
        assert len(tagged) == (2 if context == DOCUMENT else 3)


def test_words_that_the_tokenizer_drops_are_tagged_all_the_same():
    tokenizer = FullTokenizer(small.VOCAB)
    featurizer = NerFeaturizer(tokenizer, 16, TAGS, SENTENCE)
    assert featurizer._pieces("\u200b") == [tokenizer.vocab["[UNK]"]]


def run(folder, **changes):
    flags = {
        "bert_config_file": small.CONFIG,
        "vocab_file": small.VOCAB,
        "init_checkpoint": small.CHECKPOINT,
        "max_seq_length": 32,
        "output_dir": folder / "out",
        "train_batch_size": 4,
        "learning_rate": 2e-3,
        **changes,
    }
    commands.run("run_ner", **flags)


def test_trains_evaluates_and_predicts(tmp_path):
    path = write(tmp_path, COLUMNS * 4)
    options = {"train_file": path, "dev_file": path}
    run(tmp_path, **options, do_train=True, do_eval=True, num_train_epochs=25)
    results = dict(
        line.split(" = ") for line in (tmp_path / "out/eval_results.txt").read_text().splitlines()
    )
    assert float(results["f1"]) > 0.8
    rows = (tmp_path / "out/eval_predictions.txt").read_text().splitlines()
    assert any(row.startswith("Oslo B-LOC ") for row in rows)

    # Another process' run predicts plain text, with the tags of task.json.
    plain = write(tmp_path, "Bread  in Oslo!\n\nAnna was.\n", "new.txt")
    run(tmp_path, predict_file=plain, do_predict=True)
    first, second = map(json.loads, (tmp_path / "out/predictions.jsonl").read_text().splitlines())
    assert first["text"] == "Bread  in Oslo!"
    assert first["words"] == ["Bread", "in", "Oslo", "!"]
    assert second["words"] == ["Anna", "was", "."]
    for entity in (*first["entities"], *second["entities"]):
        row = first if entity in first["entities"] else second
        assert row["text"][entity["start"] : entity["end"]] == entity["text"]
    assert any(entity["text"] == "Oslo" for entity in first["entities"])
    assert "Oslo B-LOC" in (tmp_path / "out/predictions.txt").read_text()


def test_chunks_of_documents_give_the_same_entities(tmp_path, monkeypatch):
    path = write(tmp_path, COLUMNS * 3)
    run(tmp_path, train_file=path, do_train=True, predict_file=path, num_train_epochs=4)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    model = {"init_checkpoint": tmp_path / "out", "predict_file": path, "do_predict": True}
    run(tmp_path, **model, output_dir=whole)
    monkeypatch.setattr(ner_job, "CHUNK", 1)
    run(tmp_path, **model, output_dir=parts)
    for name in ("predictions.txt", "predictions.jsonl"):
        assert (parts / name).read_text() == (whole / name).read_text()
    assert "B-LOC" in (whole / "predictions.txt").read_text()


def test_tags_of_a_hugging_face_folder(tmp_path):
    path = write(tmp_path, COLUMNS * 3)
    run(tmp_path, train_file=path, do_train=True, num_train_epochs=6)
    saved = {"input": tmp_path / "out", "output_format": "huggingface", "output": tmp_path / "hf"}
    commands.run(
        "convert_checkpoint", **saved, bert_config_file=small.CONFIG, vocab_file=small.VOCAB
    )
    assert json.loads((tmp_path / "hf/config.json").read_text())["id2label"]["0"] == "O"
    model = {"predict_file": path, "dev_file": path, "do_predict": True, "do_eval": True}
    run(tmp_path, **model)
    theirs = {"init_checkpoint": tmp_path / "hf", "output_dir": tmp_path / "theirs"}
    run(tmp_path, **model, **theirs, bert_config_file="", vocab_file="")
    for name in ("predictions.jsonl", "eval_predictions.txt"):
        assert (tmp_path / "theirs" / name).read_text() == (tmp_path / "out" / name).read_text()
    other = write(tmp_path, "Oslo B-ORG\n", "other.txt")
    with pytest.raises(ValueError, match=r"those of id2label in .*hf/config.json, O, .* 'B-ORG'"):
        run(tmp_path, **theirs, dev_file=other, do_eval=True)


@pytest.mark.parametrize("features", bilstm.FEATURES)
def test_taggers_on_frozen_features(tmp_path, features):
    path = write(tmp_path, COLUMNS * 2)
    config = tmp_path / "config.json"
    sizes = {**toy.CONFIG.to_dict(), "num_hidden_layers": 4, "vocab_size": 484}
    BertConfig(**sizes).to_json_file(config)
    flags = {"bert_config_file": config, "init_checkpoint": "", "max_seq_length": 16}
    options = {"train_file": path, "dev_file": path, "feature_based": features, **flags}
    run(tmp_path, **options, do_train=True, do_eval=True, num_train_epochs=1)
    assert "f1 = " in (tmp_path / "out/eval_results.txt").read_text()
    saved = next((tmp_path / "out").glob("model.ckpt-*.index"))
    names = small.tensors(str(saved).removesuffix(".index"))
    trained = {name.removesuffix("/adam_m") for name in names if name.endswith("/adam_m")}
    assert not [name for name in trained if "embeddings" in name or "layer_" in name]
    assert not [name for name in trained if "pooler" in name], "nothing reads it"
    assert "cls/ner/bilstm_1/backward/recurrent_kernel" in trained
    assert ("cls/ner/mix" in trained) == features.startswith("weighted")


def test_plain_text_keeps_its_offsets(tmp_path):
    path = write(tmp_path, "Wait -- 北京, ok?\n\n\nNext\n", "new.txt")
    first, second = read_plain(path)
    (sentence,) = first
    assert all(
        sentence.text[start : start + len(word)] == word
        for word, start in zip(sentence.words, sentence.starts, strict=True)
    )
    assert sentence.words == ("Wait", "--", "北京", ",", "ok", "?")
    assert second[0].words == ("Next",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The U.N. (U.S.), e.g. J. Smith.", "The|U.N.|(|U.S.|)|,|e.g.|J.|Smith|."),
        ("in 1995. 5. 3.5. Inc.", "in|1995|.|5|.|3.5|.|Inc|."),
        ("\"Germany's\" players' O'Neil's’ 's it’S,", "\"|Germany|'s|\"|players|'|O'Neil|'s|’|"
         "'|s|it|’S|,"),
        ("... (( ?) -- a. A.. www.x.org.", ".|.|.|(|(|?|)|--|a.|A.|.|www.x.org|."),
        ("„Köln“,\u3000「東京」。 x\x1cy", "„|Köln|“|,|「|東京|」|。|x|y"),
        ("", ""),
    ],
)  # fmt: skip
def test_words_of_plain_text(text, words):
    assert "|".join(text[start:end] for start, end in plain_words(text)) == words


MISTAKES = {
    "no files": (lambda p: {}, "--train_file must name|The tags are learned"),
    "no file": (lambda p: {"train_file": p / "none"}, "There is no file"),
    "empty": (lambda p: {"train_file": write(p, "\n\n")}, "at least one word, but holds none"),
    "no tag": (lambda p: {"train_file": write(p, "Oslo\n")}, "line 1: must have a word and"),
    "strange tag": (
        lambda p: {"train_file": write(p, "Oslo LOC\n")},
        "line 1: the last column must be a tag such as O, B-PER .* but is 'LOC'",
    ),
    "only O": (lambda p: {"train_file": write(p, "Oslo O\n")}, "must tag some entities"),
    "utf-16": (
        lambda p: {"train_file": write(p, COLUMNS.encode("utf-16-le"))},
        "holds null bytes. Save it as UTF-8",
    ),
    "too short": (
        lambda p: {"train_file": write(p), "max_seq_length": 2},
        "--max_seq_length must be at least 3, but is 2",
    ),
    "tag at dev": (
        lambda p: {
            "train_file": write(p),
            "dev_file": write(p, "Oslo B-ORG\n", "dev.txt"),
            "do_eval": True,
            "num_train_epochs": 4,
        },
        "every tag must be one of those of the training file, O, B-LOC, .* but 'B-ORG' is not",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(tmp_path, mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(tmp_path, **{"do_train": True, "train_batch_size": 1, **make(tmp_path)})
