"""Memory is kept where the C library can be told so; elsewhere nothing happens."""

import ctypes
import os
from types import SimpleNamespace

import pytest

from bert_tf.memory import keep_freed_memory

ARENA_MAX = -8


@pytest.fixture
def replace_library(monkeypatch):
    return lambda load: monkeypatch.setattr(ctypes, "CDLL", load)


def test_another_c_library_is_left_alone(replace_library):
    asked = []
    replace_library(lambda name: asked.append(name) or SimpleNamespace())
    keep_freed_memory()
    assert asked == [None]


def test_no_c_library_at_all(replace_library):
    def load(name):
        raise OSError(f"cannot load {name}")

    replace_library(load)
    keep_freed_memory()


@pytest.mark.parametrize(("cores", "single_arena"), [(2, True), (64, False), (None, True)])
def test_what_glibc_is_told(replace_library, monkeypatch, cores, single_arena):
    told = {}
    replace_library(lambda _: SimpleNamespace(mallopt=told.__setitem__))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    keep_freed_memory()
    assert told.pop(ARENA_MAX, None) == (1 if single_arena else None)
    assert told == {-4: 0, -1: 2**31 - 1}
