"""The page in a real browser: each kind of model is asked, and its answer shown as such."""

import re
import urllib.parse

import pytest

from saved_models.serving import models
from saved_models.serving.model_config import ModelConfig
from tests.support import browser, servable
from tests.support.http_server import model_of, served
from tests.support.pages import HOSTILE, RTL, Page


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    browser.find()
    root = tmp_path_factory.mktemp("models")
    configs = [ModelConfig(kind, servable.save(kind, root / kind)) for kind in servable.KINDS]
    loaded = models.load_models(configs)
    card = {"type": "of later", "parameters": 1234567, "max_seq_length": 64, "license": "MIT"}
    loaded.update(model_of(name="unknown-kind", card=card))
    with served(loaded) as client:
        yield client


def look(client, tmp_path, **query):
    """The page at an address, parsed, and the HTML of its answer."""
    html, console = browser.dom(f"{client.address}/?{urllib.parse.urlencode(query)}", tmp_path)
    assert not console
    page = Page(re.sub(r"^<!DOCTYPE html>", "", html))
    answer = re.search(
        r'<div id="answer"[^>]*>(.*?)</div>\s*<details id="request"', html, re.DOTALL
    )
    return page, answer[1]


def bars(html):
    """Names and shares of an answer's bars."""
    rows = re.findall(
        r'<span class="\w*" dir="auto">(.*?)</span>.*?class="value">(.*?)</span>', html
    )
    return dict(rows)


def test_start(client, tmp_path):
    page, answer = look(client, tmp_path)
    links = [values["data-name"] for tag, values in page.elements if "data-name" in values]
    assert links == [*servable.KINDS, "unknown-kind"]
    assert page.texts["asked"].lstrip().startswith("classifier")
    assert "bad, good" in page.texts["asked"]
    assert "There is none yet." in answer


def test_classifier(client, tmp_path):
    _, answer = look(client, tmp_path, model="classifier", text_a="a good day", run=1)
    assert ">good</p>" in answer
    assert bars(answer) == {"good": "90.0 %", "bad": "10.0 %"}
    assert answer.index("90.0 %") < answer.index("10.0 %")
    assert "--share: 0.9" in answer


def test_fill_mask(client, tmp_path):
    text = "A [MASK] by the [MASK]."
    _, answer = look(client, tmp_path, model="fill_mask", text_a=text, run=1)
    assert 'A <mark class="said">sea</mark> by the <mark class="said">sea</mark>.' in answer
    assert bars(answer) == {"sea": "75.0 %", "tree": "20.0 %"}
    assert answer.count("[MASK] number") == 2
    _, answer = look(client, tmp_path, model="fill_mask", text_a="no gap", run=1)
    assert "The text has no [MASK]." in answer


def test_question_with_the_answer_highlighted(client, tmp_path):
    # Characters outside the basic plane: JavaScript counts them twice, Python once.
    query = {
        "model": "squad",
        "question": "Nice or not",
        "context": "\U0001f600\U0001f600 In Nice.",
    }
    _, answer = look(client, tmp_path, **query, run=1)
    assert '\U0001f600\U0001f600 In <mark class="said" id="found">Nice</mark>.' in answer
    assert "score 5.00, null odds -10.00" in answer
    _, answer = look(client, tmp_path, **{**query, "context": "In Rome."}, run=1)
    assert "The text does not say." in answer
    assert "<mark" not in answer


def test_names(client, tmp_path):
    text = "\U0001f600 In Genève lived Ada."
    _, answer = look(client, tmp_path, model="ner", text_a=text, run=1)
    found = re.findall(
        r'<span class="entity" title="90.0 %" style="(.*?)">(.*?)<small>(.*?)</small>', answer
    )
    assert found == [("--hue: 0;", "Genève", "LOC"), ("--hue: 138;", "Ada", "PER")]
    assert "\U0001f600 In <span" in answer
    assert "2 names" in answer


def test_regression(client, tmp_path):
    query = {"model": "regression", "text_a": "abcd", "text_b": "a"}
    _, answer = look(client, tmp_path, **query, run=1)
    assert ">3.0000</p>" in answer


def test_embedding(client, tmp_path):
    query = {"model": "embedding", "text_a": "aaa", "other": "aaa"}
    _, answer = look(client, tmp_path, **query, run=1)
    assert ">1.0000</p>" in answer
    assert "of two vectors of 4 numbers" in answer
    _, answer = look(client, tmp_path, **{**query, "other": "ttt"}, run=1)
    assert ">0.0" in answer


def test_multiple_choice(client, tmp_path):
    query = {"model": "multiple_choice", "context": "c", "choices": "one\n\nlonger one\n"}
    _, answer = look(client, tmp_path, **query, run=1)
    assert ">longer one</p>" in answer
    assert bars(answer) == {"longer one": "76.9 %", "one": "23.1 %"}


def test_kind_that_the_page_does_not_know(client, tmp_path):
    page, answer = look(client, tmp_path, model="unknown-kind", text="abc", run=1)
    assert '"said": "abc"' in answer
    assert "of laterversions1weights1,234,567most tokens64licenceMIT" in page.texts["asked"]


def test_errors_are_shown(client, tmp_path):
    _, answer = look(client, tmp_path, model="none", run=1)
    assert "There is no model none here." in answer
    _, answer = look(client, tmp_path, model="unknown-kind", text="crash", run=1)
    assert "The server failed at this request" in answer


@pytest.mark.parametrize("text", [HOSTILE + "good 'quoted'", RTL])
def test_texts_are_texts(client, tmp_path, text):
    page, answer = look(client, tmp_path, model="unknown-kind", text=text, run=1)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not {"img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    assert not [name for _, values in page.elements for name in values if name.startswith("on")]
    # The command line can be typed: what is in quotes is what was sent.
    assert text.replace("'", "'\\''").replace('"', '\\"') in page.texts["answered"]
    assert "<script" not in answer


def test_the_page_asks_only_its_own_server(client):
    for path, kind in [("/", "html"), ("/page.css", "css"), ("/page.js", "javascript")]:
        answer = client.ask(path)
        assert answer.status == 200
        assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "://" not in answer.text
        assert "innerHTML" not in answer.text
    page = Page(re.sub(r"^<!DOCTYPE html>", "", client.ask("/").text))
    assert page.attribute("href") + page.attribute("src") == ["data:,", "page.css", "page.js"]
    assert not page.script.strip()
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
