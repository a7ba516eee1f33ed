"""How values stand in files: YAML in the order in which it is written, protobuf's text format, plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

__all__ = ["Word", "number", "prometheus_span", "text_proto", "yaml_text"]


class Word(str):
    """The name of a value of an enum, which protobuf's text format writes without quotes."""

    __slots__ = ()


class _Plain(yaml.SafeDumper):
    """A dumper without anchors, which a reader of a manifest does not expect."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a list that stands in two places twice."""
        return True


def yaml_text(*documents: Mapping[str, Any]) -> str:
    """Return the documents as one file."""
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)


def text_proto(fields: Mapping[str, Any], indent: str = "") -> str:
    """Return fields in protobuf's text format: a mapping is a message, a sequence a repeated field."""
    lines = []
    for name, value in fields.items():
        for one in value if isinstance(value, Sequence) and not isinstance(value, str) else (value,):
            if isinstance(one, Mapping):
                lines.append(f"{indent}{name} {{\n{text_proto(one, indent + '  ')}{indent}}}\n")
            else:
                lines.append(f"{indent}{name}: {_scalar(one)}\n")
    return "".join(lines)


def number(value: float) -> str:
    """Return a number, whole where it is, that is read back as the same float."""
    return repr(value).removesuffix(".0")


def prometheus_span(milliseconds: int) -> str:
    """Return a time as Prometheus writes it, which knows no fractions."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def _scalar(value: Any) -> str:
    """Return one value of protobuf's text format. Texts are names, which hold nothing that needs an escape."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) and not isinstance(value, Word) else str(value)
