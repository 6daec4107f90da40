"""Reads a page of the project: its parts, its tables, and whether it asks anything of elsewhere."""

import base64
import hashlib
import re
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "hr"}
ADDRESSES = ("href", "src", "srcset", "action", "data", "poster", "xlink:href", "background")
HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\"'&amp;"
RTL = "שלום עולם \u202eمرحبا"


class Page(HTMLParser):
    """A parsed page; an element that is closed wrongly fails the test that parses it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {"": ""}  # of each section, and of all
        self.tables: dict[str, list[list[str]]] = {}  # rows by caption
        self.items: list[str] = []  # texts of the list of examples
        self.script = self.style = ""
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.elements.append((tag, values))
        if tag in VOID:
            return
        self._open.append((tag, values))
        if tag == "table":
            self._caption, self._rows = "", []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        elif tag == "li" and self._open[-2][0] == "ol":
            self.items.append("")
        elif tag == "section":
            self.texts[values["id"]] = ""

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        inside = [tag for tag, _ in self._open]
        if inside and inside[-1] == "script":
            self.script += data
            return
        if inside and inside[-1] == "style":
            self.style += data
            return
        self.texts[""] += data
        for tag, values in self._open:
            if tag == "section":
                self.texts[values["id"]] += data
        if "caption" in inside:
            self._caption += data
        elif "td" in inside or "th" in inside:
            self._rows[-1][-1] += data
        if self._within("ol"):
            self.items[-1] += data

    def _within(self, tag: str) -> bool:
        return any(opened == tag for opened, _ in self._open)

    def attribute(self, name: str) -> list[str]:
        return [values[name] for _, values in self.elements if name in values]

    def marks(self) -> list[str]:
        return [values["class"] for tag, values in self.elements if tag == "mark"]


def assert_sound(html: str) -> Page:
    """The page asks nothing of elsewhere, runs its own script alone, and has sound addresses."""
    page = Page(html)
    html.encode("utf-8")
    for tag, values in page.elements:
        for name, value in values.items():
            assert not name.startswith("on"), (tag, name, value)
            if name in ADDRESSES:
                assert value.startswith("#") or value == "data:,", (tag, name, value)
        assert tag not in ("iframe", "object", "embed", "img", "base", "form") or (
            tag == "form" and "action" not in values
        ), tag
    styles = page.style + " ".join(page.attribute("style"))
    assert "@import" not in styles
    assert all(found.startswith("#") for found in re.findall(r"url\((.)", styles))
    assert [tag for tag, _ in page.elements].count("script") == 1
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    (policy,) = [
        values["content"] for _, values in page.elements
        if values.get("http-equiv") == "Content-Security-Policy"
    ]  # fmt: skip
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    ids = page.attribute("id")
    assert len(ids) == len(set(ids)), sorted(ids)
    links = [value[1:] for value in page.attribute("href") if value.startswith("#")]
    assert set(links) <= set(ids)
    clips = re.findall(r"url\(#([\w-]+)\)", html)
    assert set(clips) <= set(ids)
    assert set(page.attribute("data-list")) <= set(ids)
    # What a reader who does not see needs: names of drawings, languages, sizes.
    for tag, values in page.elements:
        if tag == "svg":
            assert values["role"] == "img"
            assert values["aria-label"]
    assert page.elements[0] == ("html", {"lang": "en"})
    return page


def rows_of(page: Page, caption: str) -> dict[str, list[str]]:
    """The rows of a table, by their first cell."""
    names = [name for name in page.tables if name == caption or name.startswith(f"{caption} ")]
    found = page.tables[caption if caption in names else names[0]]
    return {row[0]: row[1:] for row in found[1:]}
