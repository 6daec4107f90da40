"""Settings of every test: quiet TensorFlow and one profile for property tests."""

import os

# Before anything imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from hypothesis import settings

# Same examples in every run, and no deadline: the first example may pay for a TensorFlow trace.
settings.register_profile("bert_tf", deadline=None, derandomize=True, database=None)
settings.load_profile("bert_tf")

# Warnings of libraries about themselves; ours stay errors.
LIBRARY_WARNINGS = (
    # Keras 3.15 turns its variables into arrays by a protocol that NumPy 2 has extended.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
)


def pytest_configure(config):
    for line in LIBRARY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)
