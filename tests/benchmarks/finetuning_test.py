import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks import finetuning, squad
from benchmarks.finetuning import OURS, PYTORCH, Outcome, Settings
from bert_tf.tasks.squad_data import read_squad
from tests.support import small

SETTINGS = Settings(small.ROOT, "python", (1, 2, 3), 32, 5e-5, 3.0, 128, "adamw")


def squad_content(paragraphs, questions):
    return {
        "data": [
            {
                "title": "T",
                "paragraphs": [
                    {
                        "context": f"Paragraph {number} ends here.",
                        "qas": [
                            {
                                "id": f"{number}-{place}",
                                "question": "What ends?",
                                "answers": [{"text": "Paragraph", "answer_start": 0}],
                            }
                            for place in range(questions)
                        ],
                    }
                    for number in range(paragraphs)
                ],
            }
        ]
    }


def identifiers(path):
    return [each.identifier for each in read_squad(path, True, False).questions]


def test_drawn_questions_are_always_the_same_and_in_order(tmp_path):
    content = squad_content(paragraphs=30, questions=4)
    for name, count in (("some", 20), ("again", 20), ("all", 1000)):
        (tmp_path / name).write_text(json.dumps(squad.draw(content, count)))
    some = identifiers(tmp_path / "some")
    every = [f"{number}-{place}" for number in range(30) for place in range(4)]
    assert len(some) == 20
    assert some == [name for name in every if name in set(some)]
    assert some != every[:20]
    assert some == identifiers(tmp_path / "again")
    assert identifiers(tmp_path / "all") == every


def test_scores_of_squad_are_those_of_its_answers(tmp_path):
    dev = tmp_path / "dev.json"
    dev.write_text(json.dumps(squad_content(paragraphs=2, questions=1)))
    files = squad.Files(dev, dev)
    said = {"0-0": "the paragraph!", "1-0": "Paragraph 1"}
    scores = squad.score(files, said)
    assert scores == pytest.approx({"exact_match": 50.0, "f1": 100.0 * (1.0 + 2.0 / 3.0) / 2})


def test_training_seconds_leave_out_what_compiling_took():
    # The first step took 50 s, the four after it 2 s each.
    rows = [{"step": 1, "time": 50.0}, {"step": 3, "time": 54.0}, {"step": 5, "time": 58.0}]
    assert finetuning.training_seconds("\n".join(map(json.dumps, rows))) == pytest.approx(10.0)


def test_sides_take_turns_and_the_table_tells_mean_deviation_and_ratio(capsys):
    turns = []

    def side(name, scores, seconds):
        def run(seed):
            turns.append((seed, name))
            return Outcome({"f1": scores[seed - 1]}, seconds)

        return run

    outcomes = finetuning.compare(
        "task", side("ours", [80.0, 82.0, 84.0], 10.0), side("peer", [70.0] * 3, 25.0), SETTINGS
    )
    assert turns == [(1, "ours"), (1, "peer"), (2, "ours"), (2, "peer"), (3, "ours"), (3, "peer")]
    assert list(outcomes) == [OURS, PYTORCH]
    capsys.readouterr()
    finetuning.print_table({"task": outcomes})
    row = " ".join(capsys.readouterr().out.splitlines()[1].split())
    assert row == "task f1 82.00 ± 2.00 70.00 ± 0.00 10 25 2.50x"


def never(seed):
    raise AssertionError(f"there is no such peer, but seed {seed} was asked of it")


@pytest.mark.parametrize(("python", "peer"), [("", never), ("python", None)])
def test_table_without_peer_has_no_ratio(python, peer, capsys):
    alone = dataclasses.replace(SETTINGS, torch_python=python, seeds=(1,))
    outcomes = finetuning.compare("task", lambda _: Outcome({"f1": 50.0}, 7.0), peer, alone)
    finetuning.print_table({"task": outcomes})
    assert capsys.readouterr().out.splitlines()[-1].split() == ["task", "f1", "50.00", "7"]


def test_peer_that_fails_ends_the_benchmark(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    settings = dataclasses.replace(SETTINGS, torch_python=str(python))
    with pytest.raises(SystemExit, match="PyTorch's side failed with status 3"):
        finetuning.ask_torch("torch_glue", {}, settings, 1)


@pytest.mark.parametrize(("told", "rule"), [([], "adamw"), (["--optimizer=adam"], "adam")])
def test_ours_trains_by_the_rule_of_pytorch_unless_told_otherwise(told, rule, monkeypatch):
    parser = finetuning.parser_of("", 32, 5e-5, 3.0, 128)
    options = parser.parse_args(["--data=.", "--model=.", *told])
    lines = []

    def run(line, **_):
        lines.append(line)
        folder = next(flag for flag in line if flag.startswith("--output_dir=")).split("=")[1]
        (Path(folder) / "metrics.jsonl").write_text('{"step": 1, "time": 0}\n')

    monkeypatch.setattr(finetuning.subprocess, "run", run)
    with finetuning.trained("run_squad", [], finetuning.settings_of(options), seed=1):
        pass
    assert f"--optimizer={rule}" in lines[0]
