"""Scale mode's shards by Apache Beam; the same bytes as create_pretraining_data --shards writes.

    python -m data_prep.beam_pipeline --input_file='text/*.txt' --output_file=records.tfrecord \\
        --vocab_file=vocab.txt --shards=64 -- \\
        --runner=DirectRunner --direct_running_mode=multi_processing --direct_num_workers=8

What comes after -- goes to Beam. Needs `pip install apache-beam`. All workers must see the same
files under the same names (inputs, outputs, --scratch_dir) and be able to import this project.
Tokenizing is shared out by files, writing by shards; drawing the pairs in between, a few percent
of the work, runs where this command does.

The direct runner is what the tests run. Other runners have not been run; they would be told

    --runner=DataflowRunner --project=P --region=R --temp_location=gs://B/tmp \\
        --sdk_container_image=IMAGE       IMAGE holds this project and mounts the files
    --runner=FlinkRunner --flink_master=HOST:8081 --environment_type=PROCESS \\
        --environment_config='{"command": "/opt/apache/beam/boot"}'
    --runner=SparkRunner --spark_master_url=spark://HOST:7077 --environment_type=LOOPBACK

`spark_job` runs under Spark without Beam.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from data_prep.create_pretraining_data import define_flags
from data_prep.engines import run_command


def do_with_beam(
    arguments: Sequence[str], work: Callable[[Any], object], items: Sequence[Any]
) -> None:
    """An engine (`engines`): a pipeline of its own for each kind of work.

    Args:
      arguments: Beam's options.
      work: to be done, in any process.
      items: for each of these.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    with beam.Pipeline(options=PipelineOptions(list(arguments))) as pipeline:
        # The items come from one place: without the shuffle one worker would keep them all.
        spread = pipeline | beam.Create(list(items)) | beam.Reshuffle()
        spread | beam.Map(work)


def _main(arguments: Sequence[str]) -> int:
    try:
        import apache_beam  # noqa: F401
    except ImportError:
        sys.stderr.write(
            "error: This command needs Apache Beam: pip install apache-beam. "
            "create_pretraining_data makes the same shards without it.\n"
        )
        return 1
    # Worker processes of the direct runner import this project as this process does.
    here = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    return run_command(flags.FLAGS, functools.partial(do_with_beam, arguments[1:]))


def main() -> None:
    """Entry point: parses the command line and runs."""
    define_flags()
    app.run(_main)


if __name__ == "__main__":
    main()
