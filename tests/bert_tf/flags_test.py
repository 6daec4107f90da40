"""The flags of run_pretraining: all of 2018 with their defaults, and ours; nothing on import."""

import sys

import pytest
from absl import flags as absl_flags

from bert_tf import convert_checkpoint, fill_mask, flags, run_pretraining

# Name and default of every flag of the 2018 release's run_pretraining.py.
RELEASED = {
    "bert_config_file": None,
    "input_file": None,
    "output_dir": None,
    "init_checkpoint": None,
    "max_seq_length": 128,
    "max_predictions_per_seq": 20,
    "do_train": False,
    "do_eval": False,
    "train_batch_size": 32,
    "eval_batch_size": 8,
    "learning_rate": 5e-5,
    "num_train_steps": 100000,
    "num_warmup_steps": 10000,
    "save_checkpoints_steps": 1000,
    "iterations_per_loop": 1000,
    "max_eval_steps": 100,
    "use_tpu": False,
    "tpu_name": None,
    "tpu_zone": None,
    "gcp_project": None,
    "master": None,
    "num_tpu_cores": 8,
}
OURS = {
    "distribution_strategy": "auto",
    "precision": "float32",
    "jit_compile": None,
    "gradient_accumulation_steps": 1,
    "keep_checkpoint_max": 5,
    "logical_cpus": 1,
    "seed": 1,
    "deterministic": False,
    "shuffle": True,
    "optimizer": "adam",
    "tpu": None,
    "dynamic_masking": False,
    "masked_lm_prob": 0.15,
    "vocab_file": None,
    "second_input_file": None,
    "first_phase": 0.9,
    "second_max_seq_length": 512,
    "second_max_predictions_per_seq": 77,
    "second_train_batch_size": None,
}
NEEDED = ["--bert_config_file=c", "--output_dir=o", "--input_file=i"]


@pytest.fixture
def parse():
    """Defines the flags of a command and parses a line; undone afterwards."""
    known = set(absl_flags.FLAGS)

    def parse(*line: str, define=run_pretraining.define_flags):
        define()
        absl_flags.FLAGS(["command", *line])
        return absl_flags.FLAGS

    yield parse
    for name in set(absl_flags.FLAGS) - known:
        delattr(absl_flags.FLAGS, name)
    absl_flags.FLAGS.unparse_flags()


def test_names_and_defaults(parse):
    known = set(absl_flags.FLAGS)
    values = parse(*NEEDED)
    defined = {name: values[name].default for name in set(values) - known}
    assert defined == {**RELEASED, **OURS}


@pytest.mark.parametrize("command", [run_pretraining, fill_mask, convert_checkpoint])
def test_importing_commands_side_by_side_defines_nothing(command):
    assert "output_dir" not in absl_flags.FLAGS
    assert "init_checkpoint" not in absl_flags.FLAGS
    assert callable(command.define_flags)


@pytest.mark.parametrize(
    ("line", "tpu"),
    [
        ([], None),
        (["--tpu=local"], "local"),
        (["--use_tpu", "--tpu_name=a"], "a"),
        (["--use_tpu", "--master=grpc://h:1"], "grpc://h:1"),
        (["--use_tpu", "--tpu_name=a", "--master=b"], "a"),
        (["--use_tpu", "--tpu=c", "--tpu_name=a"], "c"),
        (["--tpu_name=a"], None),  # as in the release, it takes --use_tpu
    ],
)
def test_tpu_flags_map_to_tpu(parse, line, tpu):
    parse(*NEEDED, *line)
    assert flags.runtime_from_flags().tpu == tpu


def test_number_of_cores_is_checked_only_if_given(parse):
    values = parse(*NEEDED)
    assert flags.runtime_from_flags().num_tpu_cores is None
    values(["command", *NEEDED, "--num_tpu_cores=8"])
    assert flags.runtime_from_flags().num_tpu_cores == 8


def test_every_training_flag_reaches_the_options(parse):
    given = {
        "train_batch_size": 6, "eval_batch_size": 4, "learning_rate": 0.5, "num_train_steps": 7,
        "num_warmup_steps": 3, "save_checkpoints_steps": 9, "iterations_per_loop": 2,
        "max_eval_steps": 11, "keep_checkpoint_max": 12, "gradient_accumulation_steps": 3,
        "optimizer": "lamb", "shuffle": False, "init_checkpoint": "x",
    }  # fmt: skip
    of_runtime = {
        "distribution_strategy": "one_device", "precision": "bfloat16", "jit_compile": True,
        "seed": 13, "deterministic": True, "tpu_zone": "z", "gcp_project": "p", "logical_cpus": 2,
    }  # fmt: skip
    line = [f"--{name}={value}" for name, value in {**given, **of_runtime}.items()]
    parse(*NEEDED, "--do_train", *line)
    options = flags.pretraining_from_flags()
    assert {name: getattr(options, name) for name in given} == given
    assert {name: getattr(options.runtime, name) for name in of_runtime} == of_runtime
    assert str(options.output_dir) == "o"


def test_errors_end_with_one_line(parse, monkeypatch, capsys):
    def fails() -> None:
        raise ValueError("the rule, the values, the way out")

    monkeypatch.setattr(sys, "argv", ["command"])
    monkeypatch.delenv("BERT_TF_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as end:
        flags.launch(lambda: None, fails)
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: the rule, the values, the way out\n"
    monkeypatch.setenv("BERT_TF_TRACEBACK", "1")
    with pytest.raises(ValueError, match="the rule"):
        flags.launch(lambda: None, fails)
