"""How values stand in files."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from sim.exports.texts import Word, number, prometheus_span, text_proto, yaml_text


def test_text_proto_has_messages_lists_and_words() -> None:
    """As protobuf reads it: names in quotes, enums and numbers without, a repeated field by its name each time."""
    fields = {"name": "shop", "sizes": [2, 4], "queue": {"action": Word("REJECT"), "on": True}, "empty": {}}
    assert text_proto(fields) == (
        'name: "shop"\nsizes: 2\nsizes: 4\nqueue {\n  action: REJECT\n  on: true\n}\nempty {\n}\n'
    )


def test_yaml_keeps_the_order_and_has_no_anchors() -> None:
    """A reader of a manifest expects kind before spec; a list that stands twice is written twice."""
    twice = ["x"]
    text = yaml_text({"kind": "B", "a": twice, "b": twice}, {"on": "yes"})
    assert text == "kind: B\na:\n- x\nb:\n- x\n---\n'on': 'yes'\n"
    assert list(yaml.safe_load_all(text)) == [{"kind": "B", "a": ["x"], "b": ["x"]}, {"on": "yes"}]


def test_spans_of_prometheus_have_no_fractions() -> None:
    """Whole seconds as such, everything else in milliseconds."""
    assert [prometheus_span(milliseconds) for milliseconds in (60_000, 1_500, 5)] == ["60s", "1500ms", "5ms"]


@given(st.floats(1e-9, 1e12))
def test_numbers_are_read_back_as_the_same_float(value: float) -> None:
    """And whole ones have no point."""
    assert float(number(value)) == value
    assert number(3.0) == "3"
