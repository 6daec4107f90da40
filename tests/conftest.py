"""Settings of every test: quiet TensorFlow and one profile for property tests."""

import os

# Before anything imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from hypothesis import settings

# Same examples in every run, and no deadline: the first example may pay for a TensorFlow trace.
settings.register_profile("bert_tf", deadline=None, derandomize=True, database=None)
settings.load_profile("bert_tf")
