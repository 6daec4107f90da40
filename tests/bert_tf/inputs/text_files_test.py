"""Text files and tables as people have them, and what is said of those that are broken."""

import gzip

import pytest

from bert_tf.inputs.text_files import (
    TextFileError,
    column_names,
    open_text,
    read_fields,
    read_lines,
    read_rows,
    read_text,
)

TEXT = "naïve\t海\nnext\tline\n"


def write(folder, content, name="f.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_line_ends_and_gzip(tmp_path, encoding, end, packed):
    content = TEXT.replace("\n", end).encode(encoding)
    if packed:
        path = write(tmp_path, gzip.compress(content), "f.tsv.gz")
    else:
        path = write(tmp_path, content)
    assert list(read_lines(path)) == ["naïve\t海", "next\tline"]
    assert read_text(path) == "naïve\t海\nnext\tline"
    assert list(read_fields(path)) == [(1, ["naïve", "海"]), (2, ["next", "line"])]
    assert list(read_rows(path)) == [(2, {"naïve": "next", "海": "line"})]


def test_quotes_mean_nothing_in_tsv(tmp_path):
    path = write(tmp_path, 'a\tb\n"x\ty"\n')
    assert list(read_rows(path)) == [(2, {"a": '"x', "b": 'y"'})]


def test_csv_fields_may_hold_anything(tmp_path):
    path = write(tmp_path, 'a,b\r\n"x, ""y""\nz",2\r\n\r\n3,4\r\n', "f.csv")
    assert list(read_rows(path)) == [
        (3, {"a": 'x, "y"\nz', "b": "2"}),
        (5, {"a": "3", "b": "4"}),
    ]
    assert column_names(path) == ["a", "b"]


def test_json_values_become_text(tmp_path):
    path = write(tmp_path, '{"a": 1, "b": null, "c": ["x"]}\n\n{"a": "y"}\n', "f.jsonl")
    assert list(read_rows(path)) == [(1, {"a": "1", "b": "", "c": '["x"]'}), (3, {"a": "y"})]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "f.tsv", "must begin with a line of column names, but is empty"),
        ("a\ta\n", "f.tsv", "must have different names in its first line, but has a, a"),
        ("a\tb\nx\n", "f.tsv", "line 2: must have 2 fields like the first line, but has 1"),
        ('a,b\n"x,1\n', "f.csv", "no CSV"),
        ('a,b\n"x"y,1\n', "f.csv", "line 2: no CSV"),
        ('{"a": 1\n', "f.jsonl", "line 1: no JSON"),
        ("[1]\n", "f.jsonl", "line 1: must be a JSON object"),
        ("a\n", "f.xlsx", r"must end in \.tsv, \.csv, \.jsonl"),
        ("a\tb\ncafé\tx\n".encode("latin-1"), "f.tsv", r"after line 0: must be utf-8 .*byte 0xe9"),
        ("a\tb\n".encode("utf-16-le"), "f.tsv", "holds null bytes. Save it as UTF-8"),
        (
            gzip.compress(TEXT.encode() * 9, mtime=0)[:-12],
            "f.tsv.gz",
            "cut short|cannot be unpacked",
        ),
        (b"no gzip", "f.tsv.gz", "cannot be unpacked"),
    ],
)
def test_broken_files(tmp_path, content, name, message):
    path = write(tmp_path, content, name)
    with pytest.raises(TextFileError, match=message):
        list(read_rows(path))


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        open_text(tmp_path / "none")
    with pytest.raises(TextFileError, match="but is a directory"):
        open_text(tmp_path)
    with pytest.raises(TextFileError, match="at least one row"):
        column_names(write(tmp_path, "a\tb\n"))
