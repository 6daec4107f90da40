"""Flags of the commands: groups defined by functions, and turned into options.

Nothing is defined on import, so that several commands can be imported side by side. Commands call
`launch`, which defines their flags, parses them, and turns foreseen errors into one line.
"""

# ruff: noqa: E402
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from absl import app, flags, logging

from bert_tf.memory import keep_freed_memory

# All before TensorFlow is imported below: its start-up notes would bury a command's own lines; its
# oneDNN kernels, which it leaves off on some CPUs, multiply matrices a tenth faster there too; and
# its threads allocate as the C library is set when they start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
keep_freed_memory()

from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface, initialize
from bert_tf.optimization import RULES
from bert_tf.tokenization import (
    FullTokenizer,
    MissingTokenError,
    validate_case_matches_checkpoint,
)
from bert_tf.training.options import FinetuningOptions, TrainingOptions
from bert_tf.training.runtime import PRECISIONS, STRATEGIES, RuntimeOptions

FLAGS = flags.FLAGS


def launch(define: Callable[[], None], main: Callable[[], None]) -> None:
    """Runs a command; errors that a user can mend end it with one line and exit status 1.

    With the environment variable BERT_TF_TRACEBACK set to anything, they show where they arose.

    Args:
        define: Defines the command's flags.
        main: Does the work, reading FLAGS.
    """

    def guarded(arguments: list[str]) -> None:
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            if len(arguments) > 1:
                raise ValueError(
                    f"These arguments belong to no flag: {' '.join(arguments[1:])}. Write "
                    "--flag=value; switches take --name and --noname."
                )
            main()
        except (ValueError, OSError, RuntimeError, MissingTokenError) as error:
            if os.environ.get("BERT_TF_TRACEBACK"):
                raise
            sys.stderr.write(f"error: {error}\n")
            sys.exit(1)

    define()
    app.run(guarded)


def define_model() -> None:
    """The model and its checkpoint."""
    flags.DEFINE_string("bert_config_file", None, "JSON file with the sizes of the model.")
    flags.DEFINE_string(
        "init_checkpoint",
        None,
        "Checkpoint to start from, weights only: a prefix, a directory, a Hugging Face folder or "
        "a SavedModel of TF Hub's BERT encoders, which bring config and vocabulary.",
    )


def define_vocabulary() -> None:
    """The vocabulary and its case."""
    flags.DEFINE_string("vocab_file", None, "Vocabulary of the model.")
    flags.DEFINE_bool("do_lower_case", True, "Lower-case the text: True for uncased models.")


def define_training() -> None:
    """What every training command has; defaults are those of the 2018 release."""
    flags.DEFINE_string(
        "output_dir", None, "Directory of checkpoints, curves and results.", required=True
    )
    flags.DEFINE_bool("do_train", False, "Whether to train.")
    flags.DEFINE_bool("do_eval", False, "Whether to evaluate.")
    flags.DEFINE_integer("train_batch_size", 32, "Examples of a training step, on all devices.")
    flags.DEFINE_integer("eval_batch_size", 8, "Examples of an evaluation batch, on all devices.")
    flags.DEFINE_float("learning_rate", 5e-5, "Learning rate after the warm-up.")
    flags.DEFINE_integer("save_checkpoints_steps", 1000, "Steps between checkpoints.")
    flags.DEFINE_integer("iterations_per_loop", 1000, "Most steps between two looks at the host.")
    flags.DEFINE_integer("keep_checkpoint_max", 5, "Newest checkpoints to keep.")
    flags.DEFINE_integer(
        "gradient_accumulation_steps", 1, "Parts that a device computes its share of a batch in."
    )
    flags.DEFINE_enum("optimizer", "adam", list(RULES), "adam is the original's rule.")


def define_pretraining() -> None:
    """The flags of run_pretraining alone."""
    flags.DEFINE_string("input_file", None, "Records: comma-separated files and globs.")
    flags.DEFINE_integer("max_seq_length", 128, "Tokens of a record, as it was generated with.")
    flags.DEFINE_integer(
        "max_predictions_per_seq", 20, "Predictions of a record, as it was generated with."
    )
    flags.DEFINE_integer("num_train_steps", 100000, "Training steps in all.")
    flags.DEFINE_integer("num_warmup_steps", 10000, "Steps of warm-up.")
    flags.DEFINE_integer("max_eval_steps", 100, "Most batches of an evaluation.")
    flags.DEFINE_bool(
        "shuffle", True, "Mix records anew every epoch; --noshuffle takes them in file order."
    )


def define_finetuning(max_seq_length: int = 128, pad_to_batch: bool = True) -> None:
    """What every fine-tuning command has.

    Args:
        max_seq_length: The command's default.
        pad_to_batch: Likewise.
    """
    define_model()
    define_vocabulary()
    define_training()
    define_runtime()
    flags.DEFINE_bool("do_predict", False, "Whether to predict.")
    flags.DEFINE_integer("predict_batch_size", 8, "Examples of a prediction batch.")
    flags.DEFINE_integer(
        "max_seq_length", max_seq_length, "Most tokens of an input sequence, [CLS] and [SEP] too."
    )
    flags.DEFINE_float("num_train_epochs", 3.0, "Passes over the training examples.")
    flags.DEFINE_float("warmup_proportion", 0.1, "Share of the steps that the warm-up takes.")
    flags.DEFINE_integer(
        "eval_every", 0, "Steps between evaluations in training, which keep the best checkpoint."
    )
    flags.DEFINE_integer(
        "early_stop", 0, "Evaluations in a row without a better one that end the training."
    )
    flags.DEFINE_integer("seeds", 1, "Runs with --seed and the seeds after it; prints their mean.")
    flags.DEFINE_float("layer_decay", 1.0, "Factor of the learning rate from a layer to the next.")
    flags.DEFINE_integer(
        "freeze_layers", 0, "Lowest layers that are not trained, the embeddings with them."
    )
    flags.DEFINE_bool(
        "pad_to_batch",
        pad_to_batch,
        "Pad sequences to their batch's longest, not to --max_seq_length.",
    )
    flags.DEFINE_bool("report", False, "Write report.html, which shows what an evaluation found.")


def define_runtime() -> None:
    """Devices, precision and seeds."""
    flags.DEFINE_enum(
        "distribution_strategy", "auto", STRATEGIES, "auto takes what the machine has."
    )
    flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "Precision of the computation.")
    flags.DEFINE_bool(
        "jit_compile", None, "Compile forward and backward pass with XLA; default: on GPUs only."
    )
    flags.DEFINE_integer("seed", 1, "Seed of initialisation, dropout and data order.")
    flags.DEFINE_bool("deterministic", False, "Use deterministic kernels only.")
    flags.DEFINE_integer(
        "logical_cpus", 1, "Devices to split the CPU into, to try replicas without hardware."
    )
    flags.DEFINE_string("tpu", None, "TPU: a name, a grpc:// address, or local on a TPU VM.")
    flags.DEFINE_bool("use_tpu", False, "Train on the TPU of --tpu_name or --master.")
    flags.DEFINE_string("tpu_name", None, "Name or address of the TPU, with --use_tpu.")
    flags.DEFINE_string("tpu_zone", None, "Zone of the TPU, if it is given by name.")
    flags.DEFINE_string("gcp_project", None, "Project of the TPU, if it is given by name.")
    flags.DEFINE_string("master", None, "Address of the TPU, with --use_tpu.")
    flags.DEFINE_integer("num_tpu_cores", 8, "Cores of the TPU; checked if given.")


def config_from_flags() -> BertConfig:
    """The config of --bert_config_file, or of a folder in --init_checkpoint that brings one."""
    folder = FLAGS.init_checkpoint
    if not FLAGS.bert_config_file and folder and (form := initialize.form_at(folder)):
        return cast(BertConfig, form.read_config(folder))
    if not FLAGS.bert_config_file:
        raise ValueError(
            "--bert_config_file must name the JSON file with the sizes of the model, but is empty. "
            "It lies beside every released checkpoint."
        )
    return read_config(FLAGS.bert_config_file)


def read_config(path: str | Path) -> BertConfig:
    """The config of a bert_config.json; ValueError where it is none."""
    try:
        return BertConfig.from_json_file(path)
    except TypeError as error:  # A number in quotes is the user's mistake, not the program's.
        raise ValueError(str(error)) from None


def huggingface_folder() -> Path | None:
    """The Hugging Face folder in --init_checkpoint, if it is one."""
    path = FLAGS.init_checkpoint
    return Path(path) if path and huggingface.is_folder(path) else None


def vocab_file_from_flags() -> tuple[Path, bool]:
    """The vocabulary and whether it is lower-cased, of the flags or of a folder that brings it."""
    folder = FLAGS.init_checkpoint
    if not FLAGS.vocab_file and folder and (form := initialize.form_at(folder)):
        found, do_lower_case = form.find_vocabulary(folder)
        return found, FLAGS.do_lower_case if FLAGS["do_lower_case"].present else do_lower_case
    if not FLAGS.vocab_file:
        raise ValueError(
            "--vocab_file must name the vocabulary of the model, but is empty. It lies beside "
            "every released checkpoint."
        )
    return Path(FLAGS.vocab_file), FLAGS.do_lower_case


def tokenizer_from_flags() -> FullTokenizer:
    """The tokenizer of the vocabulary; its case is compared with the checkpoint's name."""
    vocab_file, do_lower_case = vocab_file_from_flags()
    if FLAGS.init_checkpoint:
        validate_case_matches_checkpoint(do_lower_case, FLAGS.init_checkpoint)
    return FullTokenizer(str(vocab_file), do_lower_case)


def runtime_from_flags() -> RuntimeOptions:
    """Options of `define_runtime`; the 2018 release's TPU flags map to --tpu."""
    tpu = FLAGS.tpu
    if FLAGS.use_tpu and tpu is None:
        tpu = FLAGS.tpu_name or FLAGS.master
        if tpu is None:
            raise ValueError(
                "--use_tpu needs to know which TPU: give --tpu (a name, a grpc:// address or "
                "local), --tpu_name or --master."
            )
    return RuntimeOptions(
        distribution_strategy=FLAGS.distribution_strategy,
        precision=FLAGS.precision,
        jit_compile=FLAGS.jit_compile,
        seed=FLAGS.seed,
        deterministic=FLAGS.deterministic,
        tpu=tpu,
        tpu_zone=FLAGS.tpu_zone,
        gcp_project=FLAGS.gcp_project,
        num_tpu_cores=FLAGS.num_tpu_cores if FLAGS["num_tpu_cores"].present else None,
        logical_cpus=FLAGS.logical_cpus,
    )


def _check_local(name: str, value: str, place: str) -> None:
    if "://" in value:
        raise ValueError(
            f"--{name} must name {place} on this machine or mounted on it, but is {value}. "
            "Mount the bucket (gs:// with gcsfuse), or copy what it holds."
        )


def pretraining_from_flags() -> TrainingOptions:
    """Options of `define_training`, `define_pretraining` and `define_runtime`."""
    if not FLAGS.do_train and not FLAGS.do_eval:
        raise ValueError("At least one of --do_train and --do_eval must be given.")
    if not FLAGS.input_file:
        raise ValueError(
            "--input_file must name the records (comma-separated files and globs), but is empty. "
            "data_prep/create_pretraining_data.py writes them."
        )
    _check_local("input_file", FLAGS.input_file, "files")
    return _training_options(
        num_train_steps=FLAGS.num_train_steps,
        num_warmup_steps=FLAGS.num_warmup_steps,
        max_eval_steps=FLAGS.max_eval_steps,
        shuffle=FLAGS.shuffle,
    )


def _training_options(**own: Any) -> TrainingOptions:
    """Options of `define_training` and `define_runtime`, and those of one command."""
    _check_local("output_dir", FLAGS.output_dir, "a directory")
    return TrainingOptions(
        output_dir=Path(FLAGS.output_dir),
        init_checkpoint=FLAGS.init_checkpoint or None,
        train_batch_size=FLAGS.train_batch_size,
        eval_batch_size=FLAGS.eval_batch_size,
        learning_rate=FLAGS.learning_rate,
        save_checkpoints_steps=FLAGS.save_checkpoints_steps,
        iterations_per_loop=FLAGS.iterations_per_loop,
        keep_checkpoint_max=FLAGS.keep_checkpoint_max,
        gradient_accumulation_steps=FLAGS.gradient_accumulation_steps,
        optimizer=FLAGS.optimizer,
        runtime=runtime_from_flags(),
        **own,
    )


def finetuning_from_flags() -> FinetuningOptions:
    """Options of `define_training`, `define_finetuning` and `define_runtime`."""
    training = _training_options(
        layer_decay=FLAGS.layer_decay,
        freeze_layers=FLAGS.freeze_layers,
        eval_every=FLAGS.eval_every,
    )
    return FinetuningOptions(
        training,
        do_train=FLAGS.do_train,
        do_eval=FLAGS.do_eval,
        do_predict=FLAGS.do_predict,
        num_train_epochs=FLAGS.num_train_epochs,
        warmup_proportion=FLAGS.warmup_proportion,
        predict_batch_size=FLAGS.predict_batch_size,
        early_stop=FLAGS.early_stop,
        seeds=FLAGS.seeds,
        pad_to_batch=FLAGS.pad_to_batch,
        config=config_from_flags(),
        vocab_file=vocab_file_from_flags()[0],
        report=FLAGS.report,
        command=command_line(),
    )


def command_line() -> str:
    """The command, as it can be typed again."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    start = ["python", "-m", module.name] if module else ["python", sys.argv[0]]
    return shlex.join([*start, *sys.argv[1:]])
