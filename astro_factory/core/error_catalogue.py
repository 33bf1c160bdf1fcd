"""The catalogue of error codes: what each error and warning means, with an example and its fix.

It is the page docs/reference/errors.md, which ships with the package; each code is a heading.
"""

import re

from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder

_ENTRY = re.compile(r"^### (?P<code>[EW]\d{3}) (?P<title>.+)\n(?P<text>(?:(?!^##).*\n?)*)", re.MULTILINE)


def catalogue() -> dict[str, tuple[str, str]]:
    """Map each code to its title and its text in Markdown."""
    page = (shipped_folder("docs") / "reference/errors.md").read_text(encoding="utf-8")
    return {entry["code"]: (entry["title"], entry["text"].strip()) for entry in _ENTRY.finditer(page)}


def explain(code: str) -> str:
    """The entry of a code as text for a terminal. Raises `UserError` E155 for an unknown code."""
    entries = catalogue()
    if code.upper() not in entries:
        remedy = "write it as it was printed, such as E101; docs/reference/errors.md lists all codes"
        raise UserError.of("E155", f"there is no error code '{code}'", remedy)
    title, text = entries[code.upper()]
    return f"{code.upper()} {title}\n\n" + re.sub(r"^```.*\n?", "", text, flags=re.MULTILINE)
