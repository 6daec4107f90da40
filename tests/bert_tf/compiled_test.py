"""Compiled functions work where nothing can be kept, too."""

from numba.core import caching

from bert_tf.compiled import compiled


def double(value):
    return 2 * value


def test_without_a_folder_to_keep_it_in(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    function = compiled(double)
    assert function(21) == 42
    assert function.signatures
    assert not function.stats.cache_path


def test_it_is_kept_where_it_can_be(monkeypatch, tmp_path):
    monkeypatch.setattr(caching.config, "CACHE_DIR", str(tmp_path))
    assert compiled(double)(21) == 42
    assert [path.suffix for path in sorted(tmp_path.rglob("*.nb?"))] == [".nbc", ".nbi"]
