"""How functions are compiled here: by numba, without the interpreter's lock, kept on disk.

    @compiled
    def total(values): ...

A function that is called for each byte or token is better `inlined`: numba counts references to
each array that it passes to a function. What is `uncounted` counts none.

Numba looks kept code up by the file of the function alone, although the code of what it calls, and
constants, are inside. So what is kept lies in a folder named by a digest of all sources that may be
inside: those of the function's own folder, of the tokenizer, of `unaligned`, and of this module,
whose options count. A compiled function calls compiled functions of its own folder and of
`unaligned` only, and takes constants from its folder or from the tokenizer.
"""

import functools
import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

_FOR_ALL = [
    Path(__file__).with_name(name) for name in ("compiled.py", "tokenization.py", "unaligned.py")
]


@functools.cache
def digest_of(folder: Path) -> str:
    """A digest of the sources that compiled functions in `folder` may depend on."""
    digest = hashlib.sha256()
    for path in (*sorted(folder.glob("*.py")), *_FOR_ALL):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def folder_to_keep(folder: Path) -> Path | None:
    """Where the code of `folder` is kept: beside it, or with the user's caches, if one can write.

    A folder that the user names in NUMBA_CACHE_DIR comes first.
    """
    name = f"compiled-{digest_of(folder)}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    places = [Path(config.CACHE_DIR)] if config.CACHE_DIR else []
    places += [folder / "__pycache__", user / "bert_tf"]
    for place in places:
        try:
            (place / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place / name, os.W_OK):
            return place / name
    return None


def _compiler(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        kept = folder_to_keep(Path(inspect.getfile(function)).resolve().parent)
        if kept is None:  # Every process compiles for itself.
            return njit(nogil=True, **options)(function)
        before = config.CACHE_DIR
        config.CACHE_DIR = str(kept)  # Read when the function is decorated.
        try:
            return njit(cache=True, nogil=True, **options)(function)
        finally:
            config.CACHE_DIR = before

    return decorate


compiled = _compiler(_nrt=True)
# For a function that makes no array, returns none and calls none that returns one: references to
# those it was given are not counted. Its caller has them anyway, and counting takes longer than
# most of what is done in between. Numba notices some breaches only; a test reads the sources for
# the rest. (The option has no documentation. `compiled` names it because a function else takes it
# over from its caller.)
uncounted = _compiler(_nrt=False)
inlined = _compiler(inline="always")
