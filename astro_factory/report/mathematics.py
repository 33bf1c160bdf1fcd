"""Formulas in texts, as MathML that the page can build: where latex2mathml is installed (the extra `report`).

The page splits texts at the same delimiters (`FORMULA` in `assets/base.js`) and shows what has no conversion as text.
"""

import re
from collections.abc import Iterable
from importlib.util import find_spec
from xml.etree import ElementTree

_MAX_CHARS = 400
"""Longer formulas are left as text."""
FORMULA = re.compile(
    r"\$\$([^$]+?)\$\$|\$([^$\n]+?)\$" rf"|\\\((.{{1,{_MAX_CHARS}}}?)\\\)|\\\[([\s\S]{{1,{_MAX_CHARS}}}?)\\\]"
)
MOST_FORMULAS = 3000

MathNode = list[object]
"""Tag, attributes, then children: texts and further nodes."""


def formulas_in(texts: Iterable[str]) -> dict[str, MathNode]:
    """The formulas of some texts, without their delimiters, each as a tree of MathML; those that fail are left out."""
    if find_spec("latex2mathml") is None:
        return {}
    sources: dict[str, None] = {}
    for text in texts:
        if "$" in text or "\\" in text:
            for found in FORMULA.finditer(text):
                sources.setdefault(next(group for group in found.groups() if group is not None))
        if len(sources) >= MOST_FORMULAS:
            break
    return {
        source: tree for source in sources if len(source) <= _MAX_CHARS and (tree := _converted(source)) is not None
    }


def _converted(source: str) -> MathNode | None:
    from latex2mathml.converter import convert

    try:
        return _node(ElementTree.fromstring(convert(source)))
    except Exception:  # any text may stand between dollar signs; what the converter does with it is not ours
        return None


def _node(element: ElementTree.Element) -> MathNode:
    tag = element.tag.rpartition("}")[2]
    children: list[object] = [element.text] if element.text and element.text.strip() else []
    return [tag, dict(element.attrib), *children, *(_node(child) for child in element)]
