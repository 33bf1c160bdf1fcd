"""Text of cards: rendering their templates, and showing text from elsewhere without its markup."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from astro_factory.core.shipped import shipped_folder
from astro_factory.hub.places import is_local, public_name
from astro_factory.hub.provenance import Provenance

_LONGEST_LINE = 200


def card_text(
    template: str, metadata: Mapping[str, object], repo: str, provenance: Provenance, **context: object
) -> str:
    """The text of a card: `metadata` as YAML, then the rendered template."""
    import yaml
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(shipped_folder("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    place = public_name(repo)
    environment.filters["plain"] = plain
    text = environment.get_template(template).render(
        metadata=yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=1000),
        title=Path(place).name,
        location=place,
        source=f"file:{place}" if is_local(repo) else repo,
        folder=Path(place).name,
        spec=provenance.spec_name,
        stages=provenance.stages,
        sources=[*provenance.models, *provenance.datasets],
        absent=list(provenance.absent),
        **context,
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def plain(text: object, longest: int = _LONGEST_LINE) -> str:
    """Text from elsewhere as one line of Markdown without any markup: no link, HTML, table cell or heading."""
    line = " ".join(printable(str(text)).split())[:longest]
    return re.sub(r"([\\`*_\[\]<>#|~&$])", r"\\\1", line)


def printable(text: str) -> str:
    """A text without control and bidirectional characters, which could hide or reorder what a reader sees."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return "".join("\ufffd" if unicodedata.category(c) in hidden and c not in "\n\t" else c for c in text)


def fence(text: str) -> str:
    """A Markdown fence that does not occur in a text."""
    line = "~~~"
    while line in text:
        line += "~"
    return line


def sentence(names: Sequence[str]) -> str:
    """Names as an enumeration that starts a sentence."""
    text = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return text[:1].upper() + text[1:]
