"""SQuAD data, windows and answers: rules, edge cases and mistakes in files."""

import json

import numpy as np
import pytest

from bert_tf.inputs import windows
from bert_tf.inputs.text_files import TextFileError
from bert_tf.tasks import squad_answers, squad_data
from bert_tf.tasks.squad_answers import AnswerFinder, restore_text
from bert_tf.tasks.squad_data import read_squad, split_words
from bert_tf.tasks.squad_features import SquadFeaturizer
from bert_tf.tokenization import BasicTokenizer, FullTokenizer
from tests.support import small

CONTEXT = "The lighthouse was built in 1874,\u202fby  the sea."


def squad_file(path, context=CONTEXT, **changes):
    start = context.find("1874")
    qa = {
        "id": "q",
        "question": "When?",
        "answers": [{"text": "1874", "answer_start": max(start, 0)}],
    }
    qa.update(changes)
    content = {"data": [{"paragraphs": [{"context": context, "qas": [qa]}]}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def tokenizer():
    return FullTokenizer(small.VOCAB)


def test_words_and_their_places():
    made = split_words(CONTEXT)
    assert made.words[-4:] == ("1874,", "by", "the", "sea.")
    assert all(
        CONTEXT[start : start + len(word)] == word
        for start, word in zip(made.starts, made.words, strict=True)
    )
    assert [made.word_at[CONTEXT.find(word)] for word in ("The", "1874", "by")] == [0, 5, 6]


def test_an_answer_is_located(tmp_path):
    (question,) = read_squad(squad_file(tmp_path / "f.json"), True, False).questions
    assert (question.first_word, question.last_word, question.answer) == (5, 5, "1874")
    assert question.paragraph.words[5] == "1874,"
    made, table = SquadFeaturizer(tokenizer(), 40, 8, 8).windows([question], training=True)
    start, end = (int(table.columns[f"{side}_positions"][0]) for side in ("start", "end"))
    ids = table.columns["input_ids"][0]
    found = [tokenizer().inv_vocab[int(number)] for number in ids[start : end + 1]]
    assert found == tokenizer().tokenize("1874")
    assert made[0].offset == len(tokenizer().tokenize("When?")) + 2


def test_an_answer_that_is_not_in_the_words_is_left_out_and_counted(tmp_path):
    answers = [{"text": "1975", "answer_start": 28}]
    path = squad_file(tmp_path / "f.json", answers=answers)
    content = json.loads(path.read_text())
    qas = content["data"][0]["paragraphs"][0]["qas"]
    qas.append({**qas[0], "id": "good", "answers": [{"text": "sea", "answer_start": 43}]})
    path.write_text(json.dumps(content))
    read = read_squad(path, True, False)
    assert ([question.identifier for question in read.questions], read.unrecoverable) == (
        ["good"],
        1,
    )


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


MISTAKES = {
    "no file": (lambda p: p / "none.json", {}, "There is no file"),
    "a directory": (lambda p: p, {}, "must be a text file, but is a directory"),
    "empty": (lambda p: write(p / "f", " \n"), {}, "must be a SQuAD file, but is empty"),
    "broken": (lambda p: write(p / "f", '{"data": ['), {}, "must be JSON, but is not"),
    "another": (lambda p: write(p / "f", '[{"text": 1}]'), {}, 'an object with a list "data"'),
    "no question": (lambda p: write(p / "f", '{"data": []}'), {}, "at least one question"),
    "utf-16 without mark": (
        lambda p: write(p / "f", '{"data": []}'.encode("utf-16-le")),
        {},
        "holds null bytes. Save it as UTF-8",
    ),
    "latin-1": (
        lambda p: write(p / "f", '{"data": ["é"]}'.encode("latin-1")),
        {},
        "must be utf-8 text, but invalid continuation byte",
    ),
    "cut gzip": (
        lambda p: write(p / "f.json.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab"),
        {},
        "cannot be unpacked|cut short",
    ),
    "no paragraphs": (
        lambda p: write(p / "f", '{"data": [{"title": ""}]}'),
        {},
        r'data\[0\] must be an object with the key "paragraphs"',
    ),
    "no id": (
        lambda p: write(
            p / "f", '{"data": [{"paragraphs": [{"context": "x", "qas": [{"question": ""}]}]}]}'
        ),
        {},
        r'data\[0\]\.paragraphs\[0\]\.qas\[0\] must be an object with the key "id"',
    ),
    "two answers": (
        lambda p: squad_file(p / "f", answers=[{"text": "sea", "answer_start": 1}] * 2),
        {},
        "exactly one answer, but q has 2",
    ),
    "no answer": (
        lambda p: squad_file(p / "f", answers=[], is_impossible=True),
        {},
        "exactly one answer, but q has 0. Give --version_2_with_negative",
    ),
    "answer outside": (
        lambda p: squad_file(p / "f", answers=[{"text": "sea", "answer_start": 400}]),
        {},
        "the answer 'sea' must lie in the context of 46 characters, but answer_start is 400",
    ),
    "answer_start no number": (
        lambda p: squad_file(p / "f", answers=[{"text": "sea", "answer_start": "4"}]),
        {},
        "but answer_start is '4'",
    ),
    "no answer_start": (
        lambda p: squad_file(p / "f", answers=[{"text": "sea"}]),
        {},
        'must be an object with the key "answer_start"',
    ),
    "answers no list": (
        lambda p: squad_file(p / "f", answers="sea"),
        {},
        "\"answers\" must be a list, but is 'sea'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_files(tmp_path, mistake):
    make, _, message = MISTAKES[mistake]
    with pytest.raises((TextFileError, FileNotFoundError), match=message):
        read_squad(make(tmp_path), True, False)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_and_line_ends_are_understood(tmp_path, encoding):
    path = squad_file(tmp_path / "f.json")
    text = json.dumps(json.loads(path.read_text()), indent=1).replace("\n", "\r\n")
    path.write_bytes(text.encode(encoding))
    assert read_squad(path, True, False).questions[0].answer == "1874"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((19, 8, 16), r"--max_query_length \+ 3 = 19, but is 19: there is no room"),
        ((40, 0, 16), "--doc_stride must be at least 1, but is 0"),
    ],
)
def test_options_without_room_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SquadFeaturizer(tokenizer(), *options)
    with pytest.raises(ValueError, match="--n_best_size must be at least 1, but is 0"):
        AnswerFinder(tokenizer(), 0, 30, False)


@pytest.mark.parametrize(
    ("length", "room", "stride"), [(0, 5, 2), (5, 5, 2), (6, 5, 2), (50, 7, 3), (20, 4, 9)]
)
def test_windows_cover_everything(length, room, stride):
    spans = windows.spans_of(length, room, stride)
    seen = {place for first, size in spans for place in range(first, first + size)}
    assert seen == set(range(length)) or stride > room
    assert all(0 < size <= room for _, size in spans)
    if spans:
        best = windows.max_context(spans)
        counts = np.zeros(length)
        for (first, size), flags in zip(spans, best, strict=True):
            counts[first : first + size] += flags
        assert (counts == 1).all()  # every token is answered in exactly one window


def test_long_questions_are_cut_and_counted(tmp_path):
    path = squad_file(tmp_path / "f.json", question="When " * 30)
    featurizer = SquadFeaturizer(tokenizer(), 40, 8, 8)
    featurizer.windows(read_squad(path, True, False).questions, training=False)
    assert featurizer.cut_questions == 1


@pytest.mark.parametrize(
    ("predicted", "original", "expected"),
    [
        ("steve smith", "Steve Smith's", "Steve Smith"),
        ("1874", "1874,", "1874"),
        ("not there", "Some words", "Some words"),
        ("naive", "Naïve!", "Naïve"),  # one accent dropped for one character: aligned
        ("e", "e\u0301a", "e\u0301a"),  # a mark of its own: lengths differ, all words stay
    ],
)
def test_text_is_restored(predicted, original, expected):
    assert restore_text(predicted, original, BasicTokenizer(True)) == expected


def finder(**changes):
    return AnswerFinder(
        tokenizer(),
        **{"n_best_size": 3, "max_answer_length": 30, "version_2": True, **changes},
    )


def answered(question, start, end, **changes):
    featurizer = SquadFeaturizer(tokenizer(), 40, 8, 8)
    (window,), _ = featurizer.windows([question], training=False)
    context = featurizer.tokenized(question.paragraph)
    logits = [np.full(40, -9.0, np.float32) for _ in range(2)]
    for values, scores in zip(logits, (start, end), strict=True):
        for place, score in scores.items():
            values[0 if place is None else window.offset + place] = score
    return finder(**changes).answer(question, context, [(window, *logits)]), context


def test_no_allowed_span_is_no_answer_and_no_crash(tmp_path):
    (question,) = read_squad(squad_file(tmp_path / "f.json"), False, True).questions
    # The likeliest starts come after the likeliest ends.
    found, _ = answered(question, {5: 9.0, 6: 8.0, 7: 7.0}, {0: 9.0, 1: 8.0, 2: 7.0})
    assert found.best is None
    assert found.null_odds == squad_answers.NO_SPAN_ODDS
    assert [entry.text for entry in found.nbest] == [""]
    without, _ = answered(
        question, {5: 9.0, 6: 8.0, 7: 7.0}, {0: 9.0, 1: 8.0, 2: 7.0}, version_2=False
    )
    assert [entry.text for entry in without.nbest] == ["empty"]


def test_long_answers_are_not_allowed(tmp_path):
    (question,) = read_squad(squad_file(tmp_path / "f.json"), False, True).questions
    scores = {0: 9.0}, {6: 9.0, 1: 3.0}
    assert answered(question, *scores)[0].best.span.last == 6
    assert answered(question, *scores, max_answer_length=4)[0].best.span.last == 1


def test_characters_of_languages_without_spaces(tmp_path):
    context = "北京的冬天很冷。cafe\u0301s open"
    (question,) = read_squad(squad_file(tmp_path / "f.json", context), False, True).questions
    featurizer = SquadFeaturizer(tokenizer(), 40, 8, 8)
    made = featurizer.tokenized(question.paragraph)
    for token in range(len(made.tokens)):
        span = squad_answers.Span(token, token, 0.0, 0.0)
        start, end = finder().characters(question, made, span)
        piece = made.tokens[token].replace("##", "")
        if piece != "[UNK]":
            assert BasicTokenizer(True).tokenize(context[start:end]) == [piece]
    whole = squad_answers.Span(0, len(made.tokens) - 1, 0.0, 0.0)
    assert finder().characters(question, made, whole) == (0, len(context))


def test_null_answer_is_that_of_the_window_where_it_is_least_likely(tmp_path):
    (question,) = read_squad(squad_file(tmp_path / "f.json"), False, True).questions
    featurizer = SquadFeaturizer(tokenizer(), 20, 4, 8)
    made, _ = featurizer.windows([question], training=False)
    assert len(made) > 1
    parts = []
    for number, window in enumerate(made):
        start = np.zeros(20, np.float32)
        start[0] = 5.0 - number
        parts.append((window, start, start))
    context = featurizer.tokenized(question.paragraph)
    found = finder().answer(question, context, parts)
    null = next(entry for entry in found.nbest if entry.text == "")
    assert null.score == 2 * (5.0 - (len(made) - 1))
    assert sum(found.probabilities) == pytest.approx(1.0)


def test_split_words_of_nothing():
    assert squad_data.split_words(" \n").words == ()
    assert squad_answers.softmax([]) == []
