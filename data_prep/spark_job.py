"""Scale mode's shards by Apache Spark; the same bytes as create_pretraining_data --shards writes.

    python -m data_prep.spark_job --master=spark://HOST:7077 --input_file='text/*.txt' \\
        --output_file=records.tfrecord --vocab_file=vocab.txt --shards=64

Needs `pip install pyspark` and Java 17; under spark-submit leave --master out. The workers take the
Python that PYSPARK_PYTHON names. They must see the same files under the same names (inputs,
outputs, --scratch_dir) and be able to import this project. Tokenizing is shared out by files,
writing by shards; drawing the pairs in between, a few percent of the work, runs in the driver. A
worker that is lost costs the shards it was at.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags

from data_prep import create_pretraining_data, flag_groups, scale_command
from data_prep.engines import run_command


def define_flags() -> None:
    """Those of create_pretraining_data, and the cluster."""
    create_pretraining_data.define_flags()
    for module in (create_pretraining_data, flag_groups, scale_command):
        flags.adopt_module_key_flags(module)  # so that --help shows them
    flags.DEFINE_string("master", None, "Address of the cluster: spark://HOST:PORT, local[4] ...")


def do_with_spark(context: Any, work: Callable[[Any], object], items: Sequence[Any]) -> None:
    """An engine (`engines`): a task for each item.

    Args:
      context: a SparkContext.
      work: to be done, in any process.
      items: for each of these.
    """
    context.parallelize(list(items), len(items)).foreach(work)


def _main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1:
        sys.stderr.write(
            f"error: These arguments belong to no flag: {' '.join(arguments[1:])}. "
            "Write --flag=value; switches take --name=True or --name=False.\n"
        )
        return 1
    try:
        from pyspark import SparkConf, SparkContext
    except ImportError:
        sys.stderr.write(
            "error: This command needs Apache Spark: pip install pyspark. "
            "create_pretraining_data makes the same shards without it.\n"
        )
        return 1
    settings = SparkConf().setAppName("bert_tf: pretraining data")
    if flags.FLAGS.master:
        settings = settings.setMaster(flags.FLAGS.master)
    with SparkContext(conf=settings) as context:
        return run_command(flags.FLAGS, functools.partial(do_with_spark, context))


def main() -> None:
    """Entry point: parses the command line and runs."""
    define_flags()
    app.run(_main)


if __name__ == "__main__":
    main()
