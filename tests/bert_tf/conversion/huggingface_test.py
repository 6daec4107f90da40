"""Hugging Face folders: round trips bit for bit, old names, types, and what is refused."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface, tf1
from bert_tf.conversion.initialize import load_weights
from bert_tf.conversion.tf1 import CheckpointError
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling import task_heads
from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.heads import build_pretrainer
from tests.support import commands, small

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    type_vocab_size=2,
)
MODELS = {
    "BertModel": build_encoder,
    "BertForPreTraining": build_pretrainer,
    "BertForSequenceClassification": lambda config, seed: task_heads.build_classifier(
        config, 3, seed
    ),
    "BertForTokenClassification": lambda config, seed: task_heads.build_token_classifier(
        config, 4, seed
    ),
    "BertForQuestionAnswering": task_heads.build_span_model,
    "BertForMultipleChoice": task_heads.build_multiple_choice,
}


def values_of(model):
    return {name: np.asarray(value) for name, value in named_variables(model).items()}


def scrambled(model):
    """Random values everywhere: fresh biases are zeros and norms are ones."""
    draw = np.random.default_rng(5)
    for variable in named_variables(model).values():
        variable.assign(draw.normal(size=variable.shape))
    return model


def written(folder, architecture="BertForPreTraining", **options):
    model = scrambled(MODELS[architecture](CONFIG, 1))
    huggingface.write_folder(folder, CONFIG, values_of(model), **options)
    return model


@pytest.mark.parametrize("architecture", MODELS)
def test_round_trip_is_bit_identical(tmp_path, architecture):
    model = written(tmp_path / "hf", architecture)
    content = json.loads((tmp_path / "hf/config.json").read_text())
    assert content["architectures"] == [architecture]
    assert huggingface.read_config(tmp_path / "hf") == CONFIG
    again = MODELS[architecture](CONFIG, 2)
    report = load_weights(again, str(tmp_path / "hf"))
    assert (report.initialized, report.ignored) == ((), ())
    for name, value in values_of(model).items():
        np.testing.assert_array_equal(values_of(again)[name], value, err_msg=name)


def test_kernels_are_transposed_and_embeddings_are_not(tmp_path):
    values = values_of(written(tmp_path / "hf"))
    tensors = load_file(tmp_path / "hf/model.safetensors")
    kernel = values["bert/encoder/layer_1/intermediate/dense/kernel"]
    assert kernel.shape == (8, 12)
    np.testing.assert_array_equal(
        tensors["bert.encoder.layer.1.intermediate.dense.weight"], kernel.T
    )
    np.testing.assert_array_equal(
        tensors["bert.embeddings.word_embeddings.weight"],
        values["bert/embeddings/word_embeddings"],
    )


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors = change(tensors) or tensors
    save_file(tensors, path)


def test_heads_of_other_models_are_not_taken(tmp_path):
    written(tmp_path / "hf", "BertForTokenClassification")
    report = load_weights(task_heads.build_classifier(CONFIG, 4, 1), str(tmp_path / "hf"))
    assert report.initialized == ("output_weights", "output_bias")
    assert report.ignored == ("cls/ner/output_bias", "cls/ner/output_weights")


def test_a_missing_pooler_is_told(tmp_path):
    written(tmp_path / "hf")

    def change(tensors):
        return {name: value for name, value in tensors.items() if "pooler" not in name}

    rewrite(tmp_path / "hf", change)
    report = load_weights(build_encoder(CONFIG, 1), str(tmp_path / "hf"))
    assert report.initialized == ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")


def test_old_names_buffers_and_tied_copies_are_understood(tmp_path):
    model = written(tmp_path / "hf")

    def change(tensors):
        renamed = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): value
            for name, value in tensors.items()
        }
        renamed["bert.embeddings.position_ids"] = np.arange(16)[None]
        renamed["cls.predictions.decoder.weight"] = tensors[
            "bert.embeddings.word_embeddings.weight"
        ].copy()
        renamed["cls.predictions.decoder.bias"] = renamed.pop("cls.predictions.bias")
        return renamed

    rewrite(tmp_path / "hf", change)
    tensors = huggingface.read_tensors(tmp_path / "hf")
    for name, value in values_of(model).items():
        np.testing.assert_array_equal(tensors.pop(name), value, err_msg=name)
    assert not tensors


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_read(tmp_path, kind):
    model = written(tmp_path / "hf")
    rewrite(tmp_path / "hf", lambda tensors: {n: v.astype(kind) for n, v in tensors.items()})
    tensors = huggingface.read_tensors(tmp_path / "hf")
    for name, value in values_of(model).items():
        assert tensors[name].dtype == np.float32
        np.testing.assert_array_equal(tensors[name], value.astype(kind).astype("float32"))


def test_weights_in_several_files_are_read(tmp_path):
    model = written(tmp_path / "hf")
    path = tmp_path / "hf/model.safetensors"
    tensors = load_file(path)
    names = sorted(tensors)
    where = {name: f"model-0000{number % 2}.safetensors" for number, name in enumerate(names)}
    for file in set(where.values()):
        part = {name: tensors[name] for name in names if where[name] == file}
        save_file(part, tmp_path / "hf" / file)
    path.unlink()
    (tmp_path / "hf/model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    assert huggingface.read_tensors(tmp_path / "hf").keys() == values_of(model).keys()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gelu", "gelu_exact"), ("gelu_new", "gelu"), ("gelu_pytorch_tanh", "gelu"), ("relu", "relu")],
)
def test_both_gelus_are_told_apart(tmp_path, theirs, ours):
    change_config(tmp_path, hidden_act=theirs)
    assert huggingface.read_config(tmp_path).hidden_act == ours


def change_config(folder, **changes):
    content = {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, **changes}
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "model_type must be 'bert', but is 'roberta'"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps must be 1e-12, but is 1e-05"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type must be 'absolute'"),
        ({"hidden_act": "silu"}, "hidden_act must be one of gelu, .* but is 'silu'"),
        ({"hidden_size": 9}, "hidden_size must be a multiple"),
    ],
)
def test_configs_of_other_models_are_refused(tmp_path, changes, message):
    change_config(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=message):
        huggingface.read_config(tmp_path)


def broken_json(folder):
    (folder / "config.json").write_text("{")


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def untied(folder):
    rewrite(folder, lambda t: {**t, "cls.predictions.decoder.weight": np.ones([30, 8], np.float32)})


def stranger(folder):
    rewrite(folder, lambda t: {**t, "bert.encoder.layer.0.crossattention.x": np.ones(1)})


def lacking(folder):
    name = "bert.encoder.layer.1.output.dense.bias"
    rewrite(folder, lambda t: {key: value for key, value in t.items() if key != name})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (broken_json, "config.json must be JSON"),
        (pickled, r"must hold model.safetensors, .* is a pickle, .* save it with save_pretrained"),
        (cut, "model.safetensors cannot be read: .* Copy it again"),
        (untied, "decoder.weight must equal bert.embeddings.word_embeddings.weight"),
        (stranger, "1 are not: bert.encoder.layer.0.crossattention.x"),
        (lacking, "Missing in the checkpoint: bert/encoder/layer_1/output/dense/bias"),
    ],
)
def test_damaged_folders_are_refused_and_load_nothing(tmp_path, harm, message):
    written(tmp_path / "hf")
    harm(tmp_path / "hf")
    model = build_pretrainer(CONFIG, 3)
    before = values_of(model)
    with pytest.raises(CheckpointError, match=message):
        load_weights(model, str(tmp_path / "hf"))
    for name, value in values_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_folder_is_not_overwritten_and_holds_vocabulary_and_labels(tmp_path):
    vocab = tmp_path / "words"
    vocab.write_text("[UNK]\n")
    written(
        tmp_path / "hf",
        "BertForSequenceClassification",
        vocab_file=vocab,
        do_lower_case=False,
        labels=["no", "maybe", "yes"],
    )
    content = json.loads((tmp_path / "hf/config.json").read_text())
    assert content["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}
    assert huggingface.find_vocabulary(tmp_path / "hf") == (tmp_path / "hf/vocab.txt", False)
    with pytest.raises(CheckpointError, match="must be a new folder, but exists"):
        written(tmp_path / "hf")
    assert not list(tmp_path.glob(".partial*"))


def test_the_command_goes_round(tmp_path, capsys):
    first = small.GOLDENS / "squad1" / "model.ckpt-32"
    commands.run(
        "convert_checkpoint",
        input=first,
        output=tmp_path / "hf",
        output_format="huggingface",
        bert_config_file=small.CONFIG,
        vocab_file=small.VOCAB,
    )
    assert "cls/squad/output_weights" in capsys.readouterr().out
    commands.run("convert_checkpoint", input=tmp_path / "hf", output=tmp_path / "back")
    table = capsys.readouterr().out
    assert "<->  qa_outputs.weight" in table
    before, after = small.tensors(first), small.tensors(tmp_path / "back")
    assert after.keys() == {
        name for name in before if not tf1.is_slot(name) and name != "global_step"
    }
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert f"{len(after)} weights" in table


def test_keras_files_and_folders(tmp_path):
    commands.run(
        "convert_checkpoint",
        input=small.CHECKPOINT,
        output=tmp_path / "bert.keras",
        bert_config_file=small.CONFIG,
    )
    commands.run(
        "convert_checkpoint",
        input=tmp_path / "bert.keras",
        output=tmp_path / "hf",
        output_format="huggingface",
        bert_config_file=small.CONFIG,
    )
    commands.run("convert_checkpoint", input=tmp_path / "hf", output=tmp_path / "again.keras")
    commands.run("convert_checkpoint", input=tmp_path / "again.keras", output=tmp_path / "back")
    before, after = small.tensors(small.CHECKPOINT), small.tensors(tmp_path / "back")
    assert len(after) > 40
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
