"""Input of all forms: the same lines whatever they are packed in."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard

from data_prep import compression, documents
from data_prep.documents import total_size
from data_prep.options import DataError
from data_prep.readers import AS_IT_IS, CorpusReader, Reading

TEXTS = ["The lamp is lit.\nThe sea is near.", "Ein Café, naïve.\n\n  \nDas Meer.", "", "One."]
LINES = [
    *["The lamp is lit.", "The sea is near.", ""],
    *["Ein Café, naïve.", "Das Meer.", ""],
    *["One.", ""],
]
ROWS = [{"id": str(i), "url": "u", "title": "t", "text": text} for i, text in enumerate(TEXTS)]
JSON = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
PROSE = b"The lamp is lit. Dr. Rie sat by the sea! Was it cold?\nIt was. So it goes.\n\nAn end.\n"


def read(*paths, reading=AS_IT_IS, reader=None):
    """Lines without the blank ones at the start."""
    reader = reader or CorpusReader(reading)
    text = b"".join(reader.blocks([str(path) for path in paths])).decode()
    lines = text.split("\n")[:-1]
    while lines and not lines[0]:
        del lines[0]
    return lines


def zstd(data):
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.JSON", "wiki_00"])
def test_json_lines_and_wikiextractor(tmp_path, name, ending):
    path = tmp_path / (name + ending)
    path.write_bytes(PACKERS[ending](JSON))
    reader = CorpusReader(AS_IT_IS)
    assert read(path, reader=reader) == LINES
    assert reader.empty_documents == 1


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet_equals_json(tmp_path, kind):
    path = tmp_path / "rows"
    table = pa.table({"n": [1, 2, 3, 4], "body": pa.array([*TEXTS[:2], None, "One."], kind)})
    pyarrow.parquet.write_table(table, path, row_group_size=3)
    reader = CorpusReader(Reading(text_field="body"))
    assert read(path, reader=reader) == LINES
    assert reader.empty_documents == 1


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_packed_text_is_read_as_plain(tmp_path, ending):
    plain, packed = tmp_path / "a.txt", tmp_path / f"b{ending}"
    plain.write_bytes(PROSE * 500)
    # Both formats may hold several packed texts one after another.
    packed.write_bytes(PACKERS[ending](PROSE * 200) + PACKERS[ending](PROSE * 300))
    assert read(packed) == read(plain)
    assert len(read(plain)) == 2000


def test_text_beginning_with_a_brace_stays_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b'{"id": 1} is an object.\n{not json}\n')
    assert read(path) == ['{"id": 1} is an object.', "{not json}"]
    path.write_bytes(JSON)
    as_text = read(path, reading=Reading(input_format="text"))
    assert as_text == JSON.decode().split("\n")[:-1]


def test_a_row_longer_than_what_is_looked_at_is_wikiextractors(tmp_path):
    path = tmp_path / "wiki_01"
    path.write_text(json.dumps({**ROWS[0], "text": "word " * 50_000}) + "\n")
    assert len(read(path)[0]) == 249_999 + 1


def test_sentences_of_running_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(PROSE)
    assert read(path, reading=Reading(sentence_splitter="en")) == [
        *["The lamp is lit.", "Dr. Rie sat by the sea!", "Was it cold?"],
        *["It was.", "So it goes.", "", "An end."],
    ]
    rows = tmp_path / "a.jsonl"
    rows.write_text(json.dumps({"text": PROSE.decode()}) + "\n")
    assert read(rows, reading=Reading(sentence_splitter="en")) == [
        *["The lamp is lit.", "Dr. Rie sat by the sea!", "Was it cold?"],
        *["It was.", "So it goes.", "An end.", ""],
    ]


def test_documents_by_file(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes("One.\n\n\u3000\nTwo.\n".encode())
    by_line = ["One.", "", "\u3000", "Two."]
    assert read(*paths) == by_line * 2
    assert read(*paths, reading=Reading(document_end="file")) == ["One.", "Two.", ""] * 2


def test_text_before_rows_is_a_document_of_its_own(tmp_path):
    text, rows = tmp_path / "a.txt", tmp_path / "b.jsonl"
    text.write_bytes(b"Alone.")
    rows.write_bytes(JSON)
    assert read(text, rows) == ["Alone.", "", *LINES]


@pytest.mark.parametrize("size", [7, 64, 1 << 20])
def test_the_size_of_blocks_changes_nothing(tmp_path, monkeypatch, size):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstd(JSON * 50))
    monkeypatch.setattr(documents, "_BLOCK_BYTES", size)
    monkeypatch.setattr(compression, "_PACKED_BYTES", size)
    assert read(path) == LINES * 50


def test_progress_adds_up_for_every_form(tmp_path):
    paths = [tmp_path / name for name in ("a.jsonl", "b.txt.zst", "c.parquet")]
    paths[0].write_bytes(JSON * 100)
    paths[1].write_bytes(zstd(PROSE * 100_000))
    pyarrow.parquet.write_table(pa.table({"text": TEXTS * 500}), paths[2])
    names, seen = [str(path) for path in paths], []
    for _ in CorpusReader(AS_IT_IS, seen.append).blocks(names):
        pass
    assert sum(seen) == total_size(names)
    assert len(seen) > 6


def test_bytes_that_are_not_utf8_are_counted_where_text_is_decoded(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"Caf\xe9 and tea. \xff\xfe No.\n")
    reader = CorpusReader(Reading(sentence_splitter="en"))
    assert read(path, reader=reader) == ["Caf and tea.", "No."]
    assert reader.dropped_bytes == 3


def test_half_a_surrogate_pair_is_dropped(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a\\ud800b \\u0000c"}\n')
    assert read(path) == ["ab \0c", ""]


def damaged(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


BAD = {
    "cut.gz": (gzip.compress(PROSE)[:-9], "the gzip data is cut or damaged"),
    "flipped.gz": (damaged(gzip.compress(PROSE), 40), "the gzip data is cut or damaged"),
    "cut.zst": (zstd(PROSE)[:-6], r"the zstd data is cut or damaged \(it ends in the middle\)"),
    "flipped.zst": (damaged(zstd(PROSE * 99), 30), "the zstd data is cut or damaged"),
    "a.zip": (b"PK\x03\x04rest", "is a zip archive. Unpack it, and name the files"),
    "a.tar": (b"name".ljust(257, b"\0") + b"ustar\x0000", "is a tar archive"),
    "a.tar.gz": (gzip.compress(b"n".ljust(257, b"\0") + b"ustar\x0000"), "is a tar archive"),
    "a.xz": (b"\xfd7zXZ\x00rest", "is compressed with xz. Unpack it, or pack it with gzip"),
    "utf16": ("The sea.\n".encode("utf-16"), "is UTF-16 or UTF-32 text. Convert it to UTF-8"),
    "utf16.bare": ("The sea.\n".encode("utf-16-le"), "50 % of its first bytes are NUL"),
    "a.parquet": (b"PAR1" + b"x" * 100, "cannot be read as Parquet"),
    "a.jsonl": (b'{"text": "a"}\n{"text": "b"\n', r"line 2: is no JSON .*one object a line"),
    "list.json": (b'["a", "b"]\n', "line 1: must be a JSON object .* but is a list"),
    "field.json": (b'{"body": "a", "n": 1}\n', r"must be a string, .* has body \(str\), n \(int"),
    "deep.json": (b"[" * 100_000 + b"\n", "line 1: is no JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_files_that_cannot_be_read_are_named(tmp_path, name):
    data, message = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_column_of_numbers_is_no_text(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table({"text": [1, 2], "body": ["a", "b"]}), path)
    with pytest.raises(DataError, match=r"'text' must hold strings, .* text \(int64\), body \(str"):
        read(path)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"word " * 1000)
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(documents, "_LONG_LINE", 300)
    reader = CorpusReader(AS_IT_IS)
    assert len(read(path, reader=reader)) == 1
    assert reader.long_lines == 1
    monkeypatch.setattr(documents, "_LONGEST_LINE", 3000)
    with pytest.raises(DataError, match=r"a line has more than 0 MB\. Lines are sentences"):
        read(path)


@pytest.mark.parametrize(
    ("package", "name", "reading"),
    [
        ("zstandard", "a.zst", AS_IT_IS),
        ("pyarrow", "a.parquet", AS_IT_IS),
        ("sentencex", "a.txt", Reading(sentence_splitter="en")),
    ],
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, name, reading):
    data = {"a.zst": zstd(PROSE), "a.parquet": b"PAR1", "a.txt": PROSE}
    (tmp_path / name).write_bytes(data[name])
    real = compression.importlib.import_module

    def absent(module):
        if module.split(".")[0] == package:
            raise ImportError(module)
        return real(module)

    monkeypatch.setattr(compression.importlib, "import_module", absent)
    message = rf"needs the package {package}, .* pip install 'bert-tf\[corpora\]'"
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, reading=reading)


def test_a_language_is_a_code():
    with pytest.raises(DataError, match=r"code of a language .* got 'English'"):
        Reading(sentence_splitter="English")
