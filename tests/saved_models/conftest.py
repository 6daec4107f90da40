"""What the tests of exported encoders share: one export, which no test changes, and randomness."""

import contextlib
import shutil

import pytest
import tensorflow_hub as hub
from tensorflow.python.framework import config  # the public one cannot be undone

from saved_models.export import export
from tests.support.encoders import checkpoint


@contextlib.contextmanager
def _undetermined():
    """Dropout of a SavedModel has no seed, and a run of another test may have asked for them."""
    was = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    try:
        yield
    finally:
        if was:
            config.enable_op_determinism()


@pytest.fixture(scope="session")
def exported_encoder(tmp_path_factory):
    """An export that was moved after it was written."""
    folder = tmp_path_factory.mktemp("models")
    # The card names the last two parts of the path alone.
    source = checkpoint(folder / "private_place" / "run")
    with _undetermined():
        said = export(source.request(), folder / "first")
    assert said == f"{folder / 'first'}: 4 calls answer as they should"
    shutil.rmtree(folder / "private_place")
    shutil.move(folder / "first", folder / "moved")
    return folder / "moved"


@pytest.fixture(scope="session")
def loaded_encoder(exported_encoder):
    return hub.load(str(exported_encoder))


@pytest.fixture
def nothing_deterministic():
    with _undetermined():
        yield
