// The page to try a model. Texts of models become text nodes, never HTML.
// An address says all: ?model=NAME&FIELD=TEXT&run=1 asks at once.
"use strict";

const GOLDEN_ANGLE = 137.508; // degrees: hues that follow each other lie far apart
const MASK = "[MASK]";
const MOST_BARS = 20;
const byId = (id) => document.getElementById(id);

// --- pieces of the page ---

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const note = (text) => element("p", { class: "note" }, text);
const big = (text) => element("p", { class: "big", dir: "auto" }, text === "" ? "(empty)" : text);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
// Numbers that JSON cannot hold come as null.
const fixed = (value, digits) => (value === null ? "not finite" : value.toFixed(digits));

function bars(rows, shown = percent) {
  const box = element("div", { class: "bars" });
  rows.slice(0, MOST_BARS).forEach(([name, share], place) => {
    const track = element("span", { class: "track" }, element("i"));
    track.firstChild.style.setProperty("--share", Math.min(Math.max(share, 0), 1));
    box.append(
      element("span", { class: place ? "" : "first", dir: "auto" }, name),
      track,
      element("span", { class: "value" }, shown(share)),
    );
  });
  const rest = rows.length - MOST_BARS;
  return rest > 0 ? [box, note(`and ${rest} less likely ones`)] : [box];
}

const sorted = (names, shares) =>
  names.map((name, place) => [name, shares[place]]).sort((one, other) => other[1] - one[1]);

// Offsets count code points, as Python does; JavaScript's strings count halves of some.
function marked(text, spans, wrap) {
  const points = Array.from(text);
  const box = element("div", { class: "context text", dir: "auto" });
  let place = 0;
  for (const span of spans.toSorted((one, other) => one.start - other.start)) {
    if (span.start < place || span.end > points.length) continue; // never twice, never beyond
    box.append(points.slice(place, span.start).join(""));
    box.append(wrap(points.slice(span.start, span.end).join(""), span));
    place = span.end;
  }
  box.append(points.slice(place).join(""));
  return box;
}

// --- kinds of models: which fields they have, what is sent, how the answer looks ---

const TEXTS = {
  text_a: "The keeper of the lighthouse climbed the stairs every evening.",
  text_b: "Each night he went up to the lamp.",
};
const plain = (values) => [{ ...values }];

const KINDS = {
  fill_mask: {
    says: "words for [MASK]",
    examples: { text_a: `The keeper of the lighthouse climbed the ${MASK} every evening.` },
    show(answers, values) {
      const { tokens, probabilities, mask_count: count } = answers[0];
      if (!count) return [element("p", {}, `The text has no ${MASK}.`)];
      // What stands between the parts of the text is its masks; those beyond `count` were cut off.
      const filled = values.text_a.split(MASK).flatMap((part, number) => {
        if (number === 0) return [part];
        if (number > count) return [MASK, part];
        return [element("mark", { class: "said" }, tokens[number - 1][0]), part];
      });
      const shown = element("div", { class: "context text", dir: "auto" }, ...filled);
      return [shown].concat(
        tokens.slice(0, count).flatMap((words, mask) => [
          ...(count > 1 ? [element("h3", {}, `${MASK} number ${mask + 1}`)] : []),
          ...bars(sorted(words, probabilities[mask]).filter(([word]) => word !== "")),
        ]),
      );
    },
  },
  classifier: {
    says: "a label",
    examples: TEXTS,
    show: ([answer]) => [
      big(answer.label),
      ...bars(sorted(answer.labels, answer.probabilities)),
    ],
  },
  regression: {
    says: "a number",
    examples: TEXTS,
    // With a single output, an answer is its bare value.
    show: ([answer]) => [big(fixed(answer?.value ?? answer, 4))],
  },
  embedding: {
    says: "how alike two texts are",
    fields: ["text_a", "other"],
    names: { text_a: "one text", other: "another text" },
    examples: { text_a: "A man is eating food.", other: "A man is eating a piece of bread." },
    rows: ({ text_a, other }) => [{ text_a }, { text_a: other }],
    show(answers) {
      const [one, other] = answers.map((answer) => answer.embedding ?? answer);
      const dot = (a, b) => a.reduce((sum, value, place) => sum + value * b[place], 0);
      const cosine = dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other));
      return [big(cosine.toFixed(4)), ...bars([["cosine", cosine]], (value) => value.toFixed(2)), note(`of two vectors of ${one.length} numbers`)];
    },
  },
  squad: {
    says: "an answer in a text",
    order: ["question", "context"],
    lines: { context: 7 },
    examples: {
      question: "Where did the keeper go every evening?",
      context:
        "The lighthouse stood at the end of the pier. Every evening the keeper went up to the lamp " +
        "room and lit the lamp; in the morning he rowed to the village.",
    },
    show([answer], values) {
      const found = answer.start >= 0 && answer.end > answer.start;
      const spans = found ? [{ start: answer.start, end: answer.end }] : [];
      const wrap = (text) => element("mark", { class: "said", id: "found" }, text);
      const facts = [`score ${fixed(answer.score, 2)}`];
      if (answer.null_score !== undefined) facts.push(`null odds ${fixed(answer.null_score, 2)}`);
      return [
        found ? big(answer.text) : element("p", { class: "big" }, "The text does not say."),
        note(facts.join(", ")),
        marked(values.context, spans, wrap),
      ];
    },
  },
  ner: {
    says: "names in a text",
    lines: { text_a: 5 },
    examples: { text_a: "Grace Hopper worked at the Harvard Computation Laboratory in Cambridge." },
    show([answer], values) {
      const spans = answer.types.slice(0, answer.count).map((type, place) => ({
        type,
        start: answer.starts[place],
        end: answer.ends[place],
        score: answer.scores[place],
      }));
      const types = [...new Set(spans.map((span) => span.type))].sort();
      const wrap = (text, { type, score }) => {
        const box = element("span", { class: "entity", title: percent(score) }, text, element("small", {}, type));
        box.style.setProperty("--hue", Math.round(types.indexOf(type) * GOLDEN_ANGLE) % 360);
        return box;
      };
      const count = spans.length === 1 ? "one name" : `${spans.length || "no"} names`;
      return [marked(values.text_a, spans, wrap), note(count)];
    },
  },
  multiple_choice: {
    says: "the likeliest of some choices",
    order: ["context", "start", "choices"],
    names: { choices: "choices, one a line", start: "beginning of every choice" },
    lines: { choices: 4 },
    examples: {
      context: "The keeper climbs up to the lamp of the lighthouse.",
      start: "He",
      choices: "lights it.\nrows to the village.\nsells it.\nsings.",
    },
    rows: ({ choices, ...rest }) => [{ ...rest, choices: chosen(choices) }],
    show: ([answer], values) => [
      big(chosen(values.choices)[answer.choice]),
      ...bars(sorted(chosen(values.choices), answer.probabilities)),
    ],
  },
};
const OTHER = {
  says: "",
  examples: TEXTS,
  show: ([answer]) => [element("pre", {}, element("code", {}, JSON.stringify(answer, null, 1)))],
};

const chosen = (lines) => lines.split("\n").filter((line) => line.trim() !== "");

// --- the form ---

let current = null; // model, kind, fields
let asked = 0; // questions so far: late answers to earlier ones are dropped

function choose(model, given) {
  const kind = KINDS[model.card.type] ?? OTHER;
  const inputs = model.inputs.serving_default ?? [];
  const order = kind.order ?? inputs.toSorted();
  const fields = kind.fields ?? order.filter((name) => inputs.includes(name));
  current = { model, kind, fields };
  document.title = `${model.name}: try a model`;
  byId("asked-title").textContent = model.name;
  for (const link of byId("models").children) {
    if (link.dataset.name === model.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("card").replaceChildren(...facts(model));
  byId("fields").replaceChildren(...fields.map((name) => field(name, kind, given.get(name))));
  byId("answer").replaceChildren(element("p", { class: "quiet" }, "There is none yet."));
  byId("request").hidden = true;
}

function facts({ versions, labels, card }) {
  const known = { kind: (card.type ?? "not said").replaceAll("_", " "), versions: versions.join(", ") };
  if (Object.keys(labels).length) {
    known.labels = Object.entries(labels).map(([label, version]) => `${label}: ${version}`).join(", ");
  }
  // What a card may say besides; anything else in it is not for this page.
  if (Number.isFinite(card.parameters)) known.weights = card.parameters.toLocaleString("en");
  if (Number.isFinite(card.max_seq_length)) known["most tokens"] = String(card.max_seq_length);
  if (typeof card.license === "string" && card.license !== "unknown") known.licence = card.license;
  if (Array.isArray(card.labels)) known.classes = card.labels.slice(0, 12).join(", ") + (card.labels.length > 12 ? ", ..." : "");
  return Object.entries(known).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}

function nameOf(field) {
  if (field === "text_a" && !current.fields.includes("text_b")) return current.kind.names?.text_a ?? "text";
  return current.kind.names?.[field] ?? field.replaceAll("_", " ");
}

function field(name, kind, given) {
  const lines = kind.lines?.[name] ?? 3;
  const area = element("textarea", { name, rows: lines, dir: "auto", spellcheck: "false" });
  area.value = given ?? kind.examples[name] ?? "";
  const label = element("label", {}, nameOf(name), area);
  if (kind === KINDS.fill_mask) {
    const insert = element("button", { type: "button", class: "insert" }, `Insert ${MASK}`);
    insert.addEventListener("click", () => {
      area.setRangeText(MASK, area.selectionStart, area.selectionEnd, "end");
      area.focus();
    });
    label.append(insert);
  }
  return label;
}

async function ask() {
  const { model, kind, fields } = current;
  const number = ++asked;
  const form = byId("form");
  const values = Object.fromEntries(fields.map((name) => [name, form.elements[name].value]));
  const body = JSON.stringify({ instances: (kind.rows ?? plain)(values) });
  const url = new URL(`v1/models/${encodeURIComponent(model.name)}:predict`, location.href);
  url.search = url.hash = "";
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  let shown;
  let raw = "";
  try {
    const response = await fetch(url, { method: "POST", body });
    raw = await response.text();
    const answer = JSON.parse(raw);
    shown = response.ok
      ? kind.show(answer.predictions, values)
      : [element("p", { class: "error" }, answer.error ?? `status ${response.status}`)];
  } catch (error) {
    shown = [element("p", { class: "error" }, `The server did not answer as expected: ${error.message}`)];
  }
  if (number !== asked) return;
  button.disabled = false;
  byId("answer").replaceChildren(...shown);
  byId("curl").textContent = `curl -d '${body.replaceAll("'", "'\\''")}' ${url}`;
  byId("raw").textContent = raw.length > 20000 ? `${raw.slice(0, 20000)}...` : raw;
  byId("request").hidden = false;
  const address = new URLSearchParams({ model: model.name, ...values, run: "1" });
  if (address.toString().length < 6000) history.replaceState(null, "", `?${address}`);
}

async function start() {
  const given = new URLSearchParams(location.search);
  const response = await fetch("v1/models");
  const { models } = await response.json();
  byId("models").append(
    ...models.map((model) => {
      const kind = KINDS[model.card.type] ?? OTHER;
      const address = `?${new URLSearchParams({ model: model.name })}`;
      const link = element("a", { href: address, "data-name": model.name }, model.name, element("small", {}, kind.says));
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
        event.preventDefault();
        asked++; // an answer that is still to come belongs to another model
        byId("form").querySelector("button[type=submit]").disabled = false;
        history.replaceState(null, "", address);
        choose(model, new URLSearchParams());
      });
      return link;
    }),
  );
  byId("models").hidden = models.length === 1;
  const wanted = given.get("model");
  const model = models.find((each) => each.name === wanted);
  choose(model ?? models[0], given);
  if (wanted !== null && !model) {
    byId("answer").replaceChildren(element("p", { class: "error" }, `There is no model ${wanted} here.`));
  } else if (given.get("run") === "1") {
    await ask();
  }
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask();
});
start().catch((error) => {
  byId("answer").replaceChildren(element("p", { class: "error" }, `The server did not say which models it has: ${error.message}`));
});
