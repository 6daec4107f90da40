"""Record files: what a record holds, how it is written, read, counted and found.

The one door to `record_schema` (features, encode, decode) and `record_files` (TFRecord files
and their manifests); nothing here imports TensorFlow.
"""

from bert_tf.inputs.record_files import (
    Manifest,
    RecordWriter,
    count_records,
    find_record_files,
    manifest_path,
    match_files,
    read_manifest,
    read_records,
    verify_count,
    write_together,
)
from bert_tf.inputs.record_schema import Feature, RecordError, RecordSchema, pretraining_schema

__all__ = [
    "Feature",
    "Manifest",
    "RecordError",
    "RecordSchema",
    "RecordWriter",
    "count_records",
    "find_record_files",
    "manifest_path",
    "match_files",
    "pretraining_schema",
    "read_manifest",
    "read_records",
    "verify_count",
    "write_together",
]
