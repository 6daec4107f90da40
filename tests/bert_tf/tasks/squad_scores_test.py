"""Official scores beside the plain rules, on invented texts and on the whole development files."""

import json
import random

import pytest

from bert_tf.tasks import squad_scores
from tests.reference import squad_rules
from tests.support import small

SQUAD = small.ROOT.parent / "shared" / "data" / "squad"


def gold_of(data):
    return {
        qa["id"]: [answer["text"] for answer in qa["answers"]]
        for article in data
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    }


def perturbed(gold, seed):
    """Right answers, cut ones, longer ones, empty ones, others', missing ones."""
    draw = random.Random(seed)
    everything = [text for texts in gold.values() for text in texts] or ["x"]
    predictions, odds = {}, {}
    for key, texts in gold.items():
        text = draw.choice(texts) if texts else draw.choice(["", draw.choice(everything)])
        kind = draw.randrange(8)
        if kind == 0:
            continue
        text = {
            1: text[: len(text) // 2],
            2: f"The {text.upper()}!",
            3: f"{text} and {draw.choice(everything)}",
            4: "",
            5: draw.choice(everything),
        }.get(kind, text)
        predictions[key] = text
        odds[key] = draw.choice([round(draw.gauss(0, 5), 1), draw.gauss(0, 5)])  # some are equal
    return predictions, odds


def invented(seed):
    draw = random.Random(seed)
    vocabulary = [
        "the",
        "a",
        "An",
        "sea",
        "Sea,",
        "1874",
        "l'eau",
        "海",
        "--",
        "Theatre",
        " x ",
        "",
    ]
    qas = []
    for number in range(200):
        texts = [
            " ".join(draw.choices(vocabulary, k=draw.randint(0, 4)))
            for _ in range(draw.randint(0, 3))
        ]
        qas.append({"id": str(number), "answers": [{"text": text} for text in texts]})
    return [{"paragraphs": [{"qas": qas}]}]


def check(data, seed, version_2):
    gold = gold_of(data)
    predictions, odds = perturbed(gold, seed)
    if not version_2:
        ours = squad_scores.version_1(gold, predictions)
        assert ours == pytest.approx(squad_rules.version_1(data, predictions), abs=1e-9)
        return
    ours = {
        **squad_scores.version_2(gold, predictions),
        **squad_scores.best_thresholds(gold, predictions, odds),
    }
    assert ours == pytest.approx(squad_rules.version_2(data, predictions, odds), abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_invented_texts(seed):
    data = invented(seed)
    check(data, seed, version_2=True)
    for paragraph in data[0]["paragraphs"]:
        paragraph["qas"] = [qa for qa in paragraph["qas"] if qa["answers"]]
    check(data, seed, version_2=False)


@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_development_files(version):
    path = SQUAD / f"dev-{version}.json"
    if not path.exists():
        pytest.skip(f"{path} is not here: it holds other people's text")
    data = json.loads(path.read_text("utf-8"))["data"]
    for seed in range(2):
        check(data, seed, version == "v2.0")
    gold = gold_of(data)
    right = {key: texts[0] if texts else "" for key, texts in gold.items()}
    scores = (squad_scores.version_2 if version == "v2.0" else squad_scores.version_1)(gold, right)
    assert {name: value for name, value in scores.items() if "total" not in name} == dict.fromkeys(
        [name for name in scores if "total" not in name], 100.0
    )


def test_normalization():
    assert squad_scores.normalize("The  Cat's, a THEATRE an\tx!") == "cats theatre x"
    assert squad_scores.exact("the sea", "Sea.") == 1.0
    assert squad_scores.f1("big blue sea", "blue sea") == pytest.approx(0.8)
    assert squad_scores.f1("", "") == 1.0
    assert squad_scores.f1("the", "sea") == 0.0
