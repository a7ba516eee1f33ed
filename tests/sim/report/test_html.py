"""The page: one well-formed file that asks for nothing, in which whatever a user named is text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from html.parser import HTMLParser

import pytest

from sim.forecast.forecast import Forecast
from sim.report.document import Answer, Code, Column, Document, Highlight, Image, Paragraph, Section, Table, Verdict
from sim.report.forecast_document import forecast_document
from sim.report.html import page_of
from sim.report.units import quantity, span
from sim.scenario.spec import Scenario

VOID = {"meta", "link", "img"}


@dataclass
class Element:
    tag: str
    about: dict[str, str]
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.words).replace("\u00a0", " ").strip()


class Page(HTMLParser):
    """A page taken apart; what is not well-formed is an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(page)
        self.close()
        assert self._open == [], "elements are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.words.append(data)

    def all(self, *tags: str) -> list[Element]:
        """Return the elements with one of these tags."""
        return [element for element in self.elements if element.tag in tags]

    def cells(self) -> dict[str, list[str]]:
        """Return the texts of each row of a table, by its head; of rows with one head the last."""
        rows: dict[str, list[str]] = {}
        head = ""
        for element in self.all("th", "td"):
            if element.about.get("scope") == "row":
                head = element.text
                rows[head] = []
            elif element.tag == "td" and head:
                rows[head].append(element.text)
        return rows


@pytest.fixture(scope="module", params=["plain", "scaled"])
def page(request: pytest.FixtureRequest) -> Page:
    """Return the page of a forecast."""
    scenario, forecast = request.getfixturevalue(request.param)
    return Page(page_of(forecast_document(forecast, scenario, command="servecast forecast <x> --seed 1")))


def test_page_asks_for_nothing_but_itself(page: Page) -> None:
    """No attribute and no style leads outside: what is referred to is in the page or in the reference itself."""
    for element in page.elements:
        for name, value in element.about.items():
            if name in {"src", "href", "xlink:href", "srcset", "action", "poster", "data"}:
                assert value.startswith(("#", "data:")), value
            assert not name.startswith("on"), "an attribute that runs something"
            assert "://" not in value or name.startswith("xmlns") or element.tag in {"svg"}, value
            assert not re.search(r"url\((?!#)", value)
    assert not page.all("script", "iframe", "object", "embed", "base", "form")
    (style,) = page.all("style")
    assert not re.search(r"@import|url\(|://|expression", style.text)


def test_browser_is_told_to_allow_nothing_else(page: Page) -> None:
    """The policy of the page forbids requests and scripts even if a name slipped through."""
    policies = [each.about["content"] for each in page.all("meta") if "http-equiv" in each.about]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_pictures_do_not_share_names(page: Page) -> None:
    """Each id is there once in the whole page, and each reference leads to one."""
    ids = [element.about["id"] for element in page.elements if "id" in element.about]
    assert len(ids) == len(set(ids))
    used = {
        found
        for element in page.elements
        for value in element.about.values()
        for found in re.findall(r"(?:url\(|^)#([A-Za-z][\w-]+)", value)
    }
    assert used
    assert used <= set(ids)


def test_everything_has_a_name(page: Page) -> None:
    """Pictures have alt texts with figures, heads of tables a scope, parts that scroll a label."""
    pictures = page.all("svg")
    assert len(pictures) == len(page.all("figure")) >= 2
    assert all(each.about["role"] == "img" and re.search(r"\d", each.about["aria-label"]) for each in pictures[:2])
    assert all(each.about["scope"] in {"col", "row"} for each in page.all("th"))
    assert all(each.about["aria-label"] for each in page.elements if each.about.get("role") == "region")
    assert [each.tag for each in page.all("h1", "h2", "h3")][:2] == ["h1", "h2"]
    assert len(page.all("h1")) == 1
    assert page.all("html")[0].about == {"lang": "en"}


def test_pictures_have_the_colours_of_the_page(page: Page) -> None:
    """In the dark a picture is as light as the text: its colours are the page's, by name."""
    shown = [value for element in page.elements for value in element.about.values() if "stroke" in value]
    assert any("var(--ink)" in value for value in shown)
    (style,) = page.all("style")
    used = {name for value in shown for name in re.findall(r"var\((--\w+)\)", value)}
    assert all(style.text.count(f"{name}: ") == 3 for name in used), "a colour for light, dark and paper each"
    assert "prefers-color-scheme: dark" in style.text
    assert "@media print" in style.text


def test_figures_of_the_page_are_those_of_the_json(plain: tuple[Scenario, Forecast]) -> None:
    """Value, confidence and prediction of each figure stand in its row, with their units."""
    scenario, forecast = plain
    rows = Page(page_of(forecast_document(forecast, scenario))).cells()
    told = forecast.to_json()
    for label, name in (("mean latency", "latency_ms.mean"), ("p50 latency", "latency_ms.p50")):
        figure = told["latency_ms"][name.partition(".")[2]]
        confidence = span(name, figure["low"], figure["high"])
        single = span(name, figure["prediction"]["low"], figure["prediction"]["high"])
        assert rows[label] == [quantity(name, figure["value"]), confidence, single]
    busy = told["gpu_busy_share"]
    assert rows["device busy"][0] == quantity("gpu_busy_share", busy["value"])
    assert rows["p50"][:2] == ["1000 ms", quantity("latency_ms.p50", told["latency_ms"]["p50"]["value"])]
    assert rows["seed"] == [str(told["provenance"]["seed"])]
    assert rows["scenario hash (SHA-256)"] == [told["provenance"]["scenario_hash"]]
    assert rows["cost of 20 s"][0].endswith('<b>&"')


def test_hostile_name_is_text(plain: tuple[Scenario, Forecast]) -> None:
    """A name full of marks is read back as it was, in title, heading, alt text and manifest, and is nothing else."""
    scenario, forecast = plain
    source = page_of(forecast_document(forecast, scenario, command=f"servecast forecast {scenario.name!r}"))
    page = Page(source)
    assert "<script" not in source.lower()
    assert page.all("h1")[0].text == page.all("title")[0].text == f"{scenario.name}: forecast"
    assert scenario.name in [cells[0] for head, cells in page.cells().items() if head == "scenario"]
    assert not page.all("b", "a")


def document_of(*blocks: Paragraph | Table | Image | Code, **changes: object) -> Document:
    """Return a document with one section."""
    plain = Document("t", ("Is it?",), Answer("It is.", Verdict.GOOD), sections=(Section("s", blocks),))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_sections_and_warnings_are_there_where_they_have_something_to_say() -> None:
    """A document of words alone has neither tables nor folded parts; a warning has a heading of its own."""
    page = Page(page_of(document_of(Paragraph("words"))))
    assert not page.all("table", "details", "figure", "dl")
    warned = Page(page_of(document_of(warnings=("p99 doubles with bursts: 20 to 41 ms.",))))
    assert "p99 doubles with bursts: 20 to 41 ms." in [each.text for each in warned.all("li")]
    folded = Page(page_of(document_of(manifest={"seed": 1}, highlights=(Highlight("p99", "20 ms", "19 .. 21"),))))
    assert [each.text for each in folded.all("summary")] == ["Manifest: what servecast rerun makes it from, as JSON"]
    assert [each.text for each in folded.all("dt", "dd")] == ["p99", "20 ms", "19 .. 21"]
    long = Page(page_of(document_of(sections=(Section("All rows", (Paragraph("x"),), folded=True),))))
    assert [each.text for each in long.all("details", "summary")] == ["All rows\nx", "All rows"]


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\x89PNG\r\n", "png"), (b'<svg xmlns="x"><script>alert(1)</script></svg>', "svg+xml")]
)
def test_picture_that_is_a_file_is_an_image(data: bytes, kind: str) -> None:
    """A file of somebody else's making is shown as an image, in which no script runs, and never put into the page."""
    source = page_of(document_of(Image(lambda: data, 'a "b" <c>', "caption")))
    (image,) = Page(source).all("img")
    assert image.about["src"].startswith(f"data:image/{kind};base64,")
    assert image.about["alt"] == 'a "b" <c>'
    assert "<script" not in source


def test_day_stands_below_the_title() -> None:
    """As a day that software reads, too; without one there is no line."""
    (day,) = Page(page_of(document_of(), made_on=date(2026, 2, 3))).all("time")
    assert (day.text, day.about) == ("2026-02-03", {"datetime": "2026-02-03"})
    assert not Page(page_of(document_of())).all("time")


def test_control_characters_become_visible() -> None:
    """What no page may hold is shown as unknown, and a line break in text to be copied stays."""
    source = page_of(document_of(Paragraph("a\x00b\x1b[31m"), Code("one\ntwo")))
    assert "a\ufffdb\ufffd[31m" in source
    assert "one\ntwo</pre>" in source


def test_numbers_and_their_units_stay_on_a_line() -> None:
    """In sentences; a command is to be copied, so its spaces stay what they are."""
    told = Paragraph("p99 is 12 345 ms. It refused 3.2 % in 5 min of 40."), Code("--set a=1 ms --set b=2 s")
    page = page_of(document_of(*told))
    assert "p99 is 12\u00a0345\u00a0ms" in page
    assert "It refused 3.2\u00a0% in 5\u00a0min of 40." in page
    assert "--set a=1 ms --set b=2 s" in page


def test_heads_of_numbers_stand_over_them() -> None:
    """A column of numbers is set right, its head too; an empty head is no head."""
    table = Table((Column("", is_number=False), Column("p99")), (("30 %", "20 ms"), ("60 %", "a" * 40)), "Loads")
    page = Page(page_of(document_of(table)))
    assert [each.text for each in page.all("caption")] == ["Loads"]
    assert [(each.text, each.about) for each in page.all("th")] == [
        ("p99", {"scope": "col", "class": "number"}),
        ("30 %", {"scope": "row"}),
        ("60 %", {"scope": "row"}),
    ]
    assert [each.about.get("class") for each in page.all("td")] == [None, "number", "long"]


def wide(figures: int, cell: str = "20.5 ms") -> Table:
    """Return a table of two names, so many figures and a difference, which stands in a table of its own."""
    heads = ["max_batch", "max_wait", *(f"figure{place}" for place in range(figures)), "p99, difference [95 %]"]
    columns = tuple(Column(head, is_number=place > 1) for place, head in enumerate(heads))
    row = ("8", "5ms", *[cell] * figures, "+28.5 ms [+28.4 .. +28.7]")
    places = [(2 + place,) for place in range(figures)]
    return Table(columns, (row,), "All", names=2, parts=(tuple(places), ((2 + figures,),)))


def heads_of(page: Page) -> list[list[str]]:
    """Return the heads of each table."""
    tables: list[list[str]] = []
    for element in page.elements:
        if element.tag == "table":
            tables.append([])
        if element.about.get("scope") == "col":
            tables[-1].append(element.text)
    return tables


def test_table_that_fits_stays_one() -> None:
    """Few figures have room beside their difference."""
    (heads,) = heads_of(Page(page_of(document_of(wide(3)))))
    assert heads == ["max_batch", "max_wait", "figure0", "figure1", "figure2", "p99, difference [95 %]"]


@pytest.mark.parametrize(("figures", "cell", "tables"), [(8, "20.5 ms", 2), (8, "19.5 .. 20.5 ms", 3)])
def test_table_too_wide_for_the_page_becomes_several(figures: int, cell: str, tables: int) -> None:
    """Each names its rows, no column is lost or stands twice, and the caption stands above the first."""
    page = Page(page_of(document_of(wide(figures, cell))))
    heads = heads_of(page)
    assert len(heads) == tables
    assert all(each[:2] == ["max_batch", "max_wait"] for each in heads)
    assert heads[-1][2:] == ["p99, difference [95 %]"]
    assert [head for each in heads[:-1] for head in each[2:]] == [f"figure{place}" for place in range(figures)]
    assert [each.text for each in page.all("caption")] == ["All"]


def test_cell_is_broken_between_a_value_and_its_interval_only() -> None:
    """Where columns have little room; neither part is broken in itself, and a cell of one part not at all."""
    page = Page(page_of(document_of(wide(1))))
    assert [each.text for each in page.all("span") if each.about == {"class": "whole"}] == [
        "+28.5 ms",
        "[+28.4 .. +28.7]",
    ]
    (style,) = page.all("style")
    assert "td.number, tbody .number, .whole { white-space: nowrap; }" in style.text


def test_what_holds_on_paper_stands_behind_what_holds_everywhere(page: Page) -> None:
    """A media query outranks nothing: before the rules of the screen, paper would cut tables off as a screen does."""
    (style,) = page.all("style")
    assert style.text.rindex("overflow: visible") > style.text.rindex("overflow-x: auto")
