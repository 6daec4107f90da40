"""How functions are compiled here: by numba, without the interpreter's lock, kept on disk.

    @compiled
    def total(values): ...

A function that is called for each byte or token is better `inlined`: numba counts references to
each array that it passes to a function.

What is kept is looked up by the file of the function alone. After a change of an inlined function,
`make clean` forgets what callers in other files have of it.
"""

from collections.abc import Callable
from typing import Any

from numba import njit


def _compiler(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # No folder to keep it in: every process compiles for itself.
            return njit(nogil=True, **options)(function)

    return decorate


compiled = _compiler()
inlined = _compiler(inline="always")
