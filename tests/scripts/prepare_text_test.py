"""The splitting of the demo's text, and the sample corpus that ships with the project."""

import gzip
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.prepare_text import TextError, hold_out, read_lines, split_documents, split_sentences

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/prepare_text.py"

SAMPLE = Path(__file__).resolve().parent.parent.parent / "data_prep/sample_corpus.txt"


def test_sample_corpus_is_what_the_demo_needs() -> None:
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    documents = split_documents(lines)
    assert len(documents) >= 24
    assert [s for document in documents for s in document] == [line for line in lines if line]
    assert sum(map(len, documents)) >= 330
    text = "\n".join(lines)
    for sample in ("é", "ñ", "Ł", "Å", "春", "です", "φως", "зимой", "“", "—", "…", "%", "€", "«"):
        assert sample in text or sample in text.lower(), sample


@pytest.mark.parametrize(
    "sentences",
    [
        ["One sentence stays."],
        ["It rained.", "We stayed in!", "Why?", "No idea"],
        ["He said “no.”", "Then he left."],
        ["It rose 0.5 m. 3 days later it fell."],
        ["Dr. Berg met J. R. Smith at St. Pauls, No. 5, U.S. Highway 9, on Oct. 3."],
        ["H. gammarus is large .", "It is blue ."],
        ["“Why?” she asked.", "« Oui ! » crie-t-elle."],
        ['He wrote , " It ends . "', "She left ."],
        ["Er kam am 3. Mai.", "„Gut!“, rief sie."],
        ["¿Quién?", "—¡Yo!", "(He did.)", "Then…", "8 more."],
        [],
    ],
)
def test_split_sentences(sentences: list[str]) -> None:
    assert split_sentences(" " + " ".join(sentences) + "  ") == sentences


def test_split_sentences_without_spaces() -> None:
    line = "下雪了。真冷！“走吧。”他说。"
    assert split_sentences(line) == ["下雪了。", "真冷！", "“走吧。”他说。"]


def test_documents_by_blank_lines() -> None:
    assert split_documents(["Aa.", "Bb. Cc.", "", "", "D."]) == [["Aa.", "Bb.", "Cc."], ["D."]]


def test_documents_by_titles_keep_the_parts_of_an_article_together() -> None:
    lines = [" = One = ", "", "Aa. B.", " = = Part = = ", "C.", "", " = Two = ", "D.", "x = y"]
    assert split_documents(lines) == [["Aa.", "B.", "C."], ["D.", "x = y"]]


@pytest.mark.parametrize(("count", "held"), [(2, [1]), (9, [8]), (10, [9]), (25, [9, 19])])
def test_hold_out_every_tenth_document(count: int, held: list[int]) -> None:
    train, dev = hold_out([[str(i)] for i in range(count)])
    assert dev == [[str(i)] for i in held]
    assert sorted(train + dev, key=lambda d: int(d[0])) == [[str(i)] for i in range(count)]


def test_hold_out_needs_two_documents() -> None:
    with pytest.raises(TextError, match=r"at least 2 documents.* it holds 1\. Put a blank line"):
        hold_out([["one"]])


def test_read_lines_names_the_bad_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes("fine\ncafé\n".encode("latin-1"))
    with pytest.raises(TextError, match=r"line 2 of .*latin1.txt has the byte 0xe9 at position 3"):
        list(read_lines(path, 1000))


def test_read_lines_stops_at_the_limit_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.txt"
    path.write_text("\ufeffabc\n" * 10, encoding="utf-8")
    assert len(list(read_lines(path, 35))) == 5
    assert "the first 3.5e-05 MB" in capsys.readouterr().out


@pytest.mark.parametrize("sentence", ["The lamp was lit. ", "3. The lamp. "])
def test_a_text_on_one_line_takes_linear_time(sentence: str) -> None:
    def seconds(count: int) -> float:
        started = time.process_time()
        assert len(split_sentences(sentence * count)) == count
        return time.process_time() - started

    # 16 times is linear; with a copy of the rest at each sentence it was above 100.
    assert seconds(128_000) < 48 * seconds(8_000)


def test_torn_gzip_is_one_line(tmp_path: Path) -> None:
    text = tmp_path / "t.gz"
    text.write_bytes(gzip.compress(SAMPLE.read_bytes())[:-40])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(text), str(tmp_path / "a"), str(tmp_path / "b")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{text}: the gzip data is cut or damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["t.gz"]
