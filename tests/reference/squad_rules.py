"""The official SQuAD evaluation rules, written plainly: what `squad_scores` is compared with."""

import re
import string


def simplified(text):
    text = text.lower()
    text = "".join(character for character in text if character not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return " ".join(text.split())


def words(text):
    return simplified(text).split()


def overlap(gold, said, both_empty):
    gold_words, said_words = words(gold), words(said)
    if both_empty and (not gold_words or not said_words):
        return 1.0 if gold_words == said_words else 0.0
    shared, rest = 0, list(gold_words)
    for word in said_words:
        if word in rest:
            rest.remove(word)
            shared += 1
    if shared == 0:
        return 0.0
    precision, recall = shared / len(said_words), shared / len(gold_words)
    return (2 * precision * recall) / (precision + recall)


def version_1(data, predictions):
    same = overlapping = total = 0.0
    for article in data:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                total += 1
                if qa["id"] not in predictions:
                    continue
                golds = [answer["text"] for answer in qa["answers"]]
                said = predictions[qa["id"]]
                same += max(simplified(gold) == simplified(said) for gold in golds)
                overlapping += max(overlap(gold, said, both_empty=False) for gold in golds)
    return {"exact_match": 100.0 * same / total, "f1": 100.0 * overlapping / total}


def raw_scores(data, predictions):
    exact, f1, has = {}, {}, {}
    for article in data:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                has[qa["id"]] = bool(qa["answers"])
                golds = [a["text"] for a in qa["answers"] if simplified(a["text"])] or [""]
                if qa["id"] in predictions:
                    said = predictions[qa["id"]]
                    exact[qa["id"]] = max(int(simplified(g) == simplified(said)) for g in golds)
                    f1[qa["id"]] = max(overlap(g, said, both_empty=True) for g in golds)
    return exact, f1, has


def version_2(data, predictions, odds):
    exact, f1, has = raw_scores(data, predictions)
    results = {}
    for prefix, wanted in (("", None), ("HasAns_", True), ("NoAns_", False)):
        chosen = [key for key in exact if wanted is None or has[key] == wanted]
        if not chosen:
            continue
        results[f"{prefix}exact"] = 100.0 * sum(exact[key] for key in chosen) / len(chosen)
        results[f"{prefix}f1"] = 100.0 * sum(f1[key] for key in chosen) / len(chosen)
        results[f"{prefix}total"] = len(chosen)
    for name, scores in (("exact", exact), ("f1", f1)):
        running = best = sum(1 for key in has if not has[key])
        threshold = 0.0
        for key in sorted(odds, key=lambda each: odds[each]):
            if key not in scores:
                continue
            if has[key]:
                running += scores[key]
            elif predictions[key]:
                running += -1
            if running > best:
                best, threshold = running, odds[key]
        results[f"best_{name}"] = 100.0 * best / len(scores)
        results[f"best_{name}_thresh"] = threshold
    return results
