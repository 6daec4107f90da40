"""Learns a WordPiece vocabulary from text.

    python data_prep/build_vocab.py --input_file='text/*.txt' --output_file=vocab.txt \\
        --vocab_size=8000 --do_lower_case=True

The text is split into words by the rules of this project's tokenizer, the pieces are learned by
the `tokenizers` package, and the file is written in the original's order: [PAD], [unused0] ...,
[UNK], [CLS], [SEP], [MASK], single characters, then pieces as they were learned. The same input
gives the same file. Text is read as by create_pretraining_data; 100 MB take about a minute, and
0.4 GB of memory.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

if not __package__:  # started as a script: the packages lie beside this file's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from absl import app, flags, logging
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tqdm import tqdm

from bert_tf.files import write_text
from bert_tf.inputs.records import RecordError
from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD, BasicTokenizer
from data_prep import flag_groups
from data_prep.documents import total_size
from data_prep.mixing import Mixture, TextInput
from data_prep.options import NOT_UTF8, DataError, error_line
from data_prep.readers import AS_IT_IS, Reading

CONTINUATION = "##"
# With this many [unused] entries [UNK], [CLS], [SEP] and [MASK] get the original's ids 100-103.
DEFAULT_UNUSED = 99

# Symbols are lent code points of the two planes for private use, see `_Symbols`.
_SYMBOL_PLANES = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
_MAX_SYMBOLS = sum(map(len, _SYMBOL_PLANES))
_WORDS_PER_LINE = 1000

# Tabs and line ends become spaces.
_TO_SPACES = bytes(32 if byte in b"\t\n" else byte for byte in range(256))
_MOST_CHUNKS = 1 << 20
_MOST_WORDS = 1 << 23


@dataclasses.dataclass(frozen=True)
class VocabOptions:
    """What to learn: sizes count entries of the file, special ones included."""

    vocab_size: int = 30522
    do_lower_case: bool = True
    min_frequency: int = 2
    num_unused: int = DEFAULT_UNUSED

    def __post_init__(self) -> None:
        if self.min_frequency < 1:
            raise DataError(f"--min_frequency must be at least 1; got {self.min_frequency}.")
        if self.num_unused < 0:
            raise DataError(f"--num_unused must be at least 0; got {self.num_unused}.")
        if self.vocab_size <= len(special_tokens(self.num_unused)):
            raise DataError(
                f"--vocab_size must be above {len(special_tokens(self.num_unused))}, the number "
                f"of special and unused entries; got {self.vocab_size}. Raise it, or lower "
                f"--num_unused (now {self.num_unused})."
            )


def special_tokens(num_unused: int) -> list[str]:
    """The first entries of the file, in the order of the original's vocabularies."""
    unused = [f"[unused{number}]" for number in range(num_unused)]
    return ["[PAD]", *unused, "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


class _Symbols:
    """Private code points for the symbols that merging starts from: "a" and "##a" are two.

    Given "##" itself, the trainer numbers "##a" in the order of its hash table, which changes
    from process to process and decides between equally frequent pieces. Single characters are
    numbered by code point, so each symbol is lent one, in the order of the text.
    """

    def __init__(self) -> None:
        self._free = (code for plane in _SYMBOL_PLANES for code in plane)
        self._code_of: dict[str, str] = {}
        self._symbol_of: dict[str, str] = {}

    def encode(self, word: str) -> str:
        symbols = [word[0], *(CONTINUATION + char for char in word[1:])]
        return "".join([self._code(symbol) for symbol in symbols])

    def _code(self, symbol: str) -> str:
        code = self._code_of.get(symbol)
        if code is None:
            if len(self._code_of) == _MAX_SYMBOLS:
                raise DataError(f"The text has more than {_MAX_SYMBOLS} different characters.")
            code = self._code_of[symbol] = chr(next(self._free))
            self._symbol_of[code] = symbol
        return code

    def decode(self, piece: str) -> str:
        """The piece as the vocabulary file has it."""
        symbols = [self._symbol_of[code] for code in piece]
        return symbols[0] + "".join(symbol.removeprefix(CONTINUATION) for symbol in symbols[1:])

    def singles(self) -> list[str]:
        """Every symbol, and every character that has been seen within words on its own too."""
        alone = {symbol.removeprefix(CONTINUATION) for symbol in self._code_of}
        return [*sorted(alone), *sorted(set(self._code_of) - alone)]


def count_words(blocks: Iterable[bytes], do_lower_case: bool) -> tuple[Counter[str], int]:
    """How often each word of the text stands in it, and how many bytes are not UTF-8.

    Words that get [UNK] by their length, and bytes that are not UTF-8, are left out.

    What stands between white space is counted as it is, and split into words once. Memory is
    bounded: beyond 8 million different words the rarest ones are forgotten (those seen once, then
    those seen twice, and so on), which no vocabulary has room for.

    Args:
      blocks: of whole lines, as `CorpusReader` hands them out.
      do_lower_case: whether words are lower-cased.
    """
    split = BasicTokenizer(do_lower_case).tokenize
    words: Counter[str] = Counter()
    chunks: Counter[bytes] = Counter()
    rare = dropped = 0

    def split_chunks() -> None:
        nonlocal dropped
        for chunk, count in chunks.items():
            text = chunk.decode("utf-8", "ignore")
            dropped += count * (len(chunk) - len(text.encode()))
            for word in split(text):
                words[word] += count
        chunks.clear()

    for block in blocks:
        # Other white space is the tokenizer's to find. It drops no more than carriage returns.
        chunks.update(block.translate(_TO_SPACES, b"\r").split(b" "))
        if len(chunks) > _MOST_CHUNKS:
            split_chunks()
        while len(words) > _MOST_WORDS:
            rare += 1
            for word in [word for word, count in words.items() if count <= rare]:
                del words[word]
    split_chunks()
    for word in [word for word in words if len(word) > MAX_INPUT_CHARS_PER_WORD]:
        del words[word]
    return words, dropped


def learn_vocab(words: Counter[str], options: VocabOptions) -> list[str]:
    """The entries of the vocabulary, at most `options.vocab_size`.

    Fewer, where the text has no more pieces of `min_frequency`.

    Raises:
      DataError: no words, or more different characters than entries.
    """
    if not words:
        raise DataError("The input files hold no words to learn from.")
    symbols = _Symbols()
    encoded = {symbols.encode(word): count for word, count in words.items()}
    head = special_tokens(options.num_unused)
    singles = [single for single in symbols.singles() if single not in head]
    room = options.vocab_size - len(head) - len(singles)
    if room < 0:
        raise DataError(
            f"--vocab_size {options.vocab_size} is too small: {len(head)} special and unused "
            f"entries and {len(singles)} single characters of the text need "
            f"{len(head) + len(singles)}. Raise it, or lower --num_unused."
        )
    known = {*head, *singles}
    learned = [symbols.decode(piece) for piece in _train(encoded, room, options.min_frequency)]
    pieces = [piece for piece in dict.fromkeys(learned) if piece not in known]
    return [*head, *singles, *pieces[:room]]


def _train(encoded: dict[str, int], room: int, min_frequency: int) -> list[str]:
    """Pieces of encoded words, single symbols first, then `room` merges in their order."""
    alphabet = sorted({code for word in encoded for code in word})
    tokenizer = Tokenizer(models.WordPiece({}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=len(alphabet) + room,
        min_frequency=min_frequency,
        special_tokens=[],
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        continuing_subword_prefix="",
        show_progress=False,
    )
    tokenizer.train_from_iterator(_repeated(encoded), trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _repeated(encoded: dict[str, int]) -> Iterator[str]:
    """Lines that hold each word as often as it was counted."""
    for word, count in encoded.items():
        for start in range(0, count, _WORDS_PER_LINE):
            yield " ".join([word] * min(_WORDS_PER_LINE, count - start))


def write_vocab(entries: Sequence[str], path: str) -> None:
    """One entry a line; the file appears when it is complete."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{entry}\n" for entry in entries))


def build_vocab(
    input_files: Sequence[str],
    output_file: str,
    options: VocabOptions,
    reading: Reading = AS_IT_IS,
    mixture: Mixture | None = None,
) -> int:
    """Reads, learns and writes; the number of entries.

    Raises:
      DataError: as `learn_vocab` and `TextInput`; nothing has appeared under the output name.
      OSError: a file cannot be read or written.
    """
    if os.path.realpath(output_file) in map(os.path.realpath, input_files):
        raise DataError(f"{output_file} is input and output at once. Write to another name.")
    if os.path.isdir(output_file):
        raise DataError(f"{output_file} is a directory. Name a file in it.")
    with tqdm(total=total_size(input_files), desc="reading", unit="B", unit_scale=True) as bar:
        text = TextInput(input_files, reading, mixture, bar.update)
        words, dropped = count_words(text.blocks(), options.do_lower_case)
    sys.stderr.write(text.report())
    if dropped := dropped + text.dropped_bytes:
        logging.warning(NOT_UTF8, dropped)
    entries = learn_vocab(words, options)
    write_vocab(entries, output_file)
    return len(entries)


def define_flags() -> None:
    """The flags of this command."""
    defaults = VocabOptions()
    flag_groups.define_reading()
    flags.adopt_module_key_flags(flag_groups)  # so that --help shows them
    flags.DEFINE_string("output_file", None, "The vocabulary to write, one entry a line.")
    flags.DEFINE_integer("vocab_size", defaults.vocab_size, "Entries at most, special ones too.")
    flags.DEFINE_bool("do_lower_case", defaults.do_lower_case, "Lower-case the text.")
    flags.DEFINE_integer("min_frequency", defaults.min_frequency, "Of a pair to be merged.")
    flags.DEFINE_integer("num_unused", defaults.num_unused, "[unused] entries to leave room with.")
    flags.mark_flags_as_required(["input_file", "output_file"])


def _main(arguments: Sequence[str]) -> int:
    try:
        if len(arguments) > 1:
            raise DataError(
                f"These arguments belong to no flag: {' '.join(arguments[1:])}. "
                "Write --flag=value; switches take --name=True or --name=False."
            )
        values = flags.FLAGS
        names = [field.name for field in dataclasses.fields(VocabOptions)]
        options = VocabOptions(**{name: values[name].value for name in names})
        files, mixture = flag_groups.files_from(values, seed=0)
        reading = flag_groups.reading_from(values)
        entries = build_vocab(files, values.output_file, options, reading, mixture)
    except (DataError, RecordError, OSError) as error:
        sys.stderr.write(error_line(error))
        return 1
    sys.stdout.write(f"{values.output_file}: {entries} entries\n")
    return 0


def main() -> None:
    """Entry point: parses the command line and runs."""
    define_flags()
    app.run(_main)


if __name__ == "__main__":
    main()
