"""Addresses of servers in specs. Specs are published and shared, so an address contains no credentials."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

_URL = re.compile(r"://\S+")
_SECRET_PARTS = re.compile(r"""(?<=://)[^/]*(?=@)|(?<=\?)[^"'\]},]+""")


def _without_credentials(url: str) -> str:
    """The URL itself. Raises `ValueError`, which does not quote it."""
    if "@" in url or "?" in url or "#" in url:
        raise ValueError(
            "an address contains no user, password, query or fragment; "
            "put the key into an environment variable and name it in api_key_env"
        )
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or re.search(r"[\x00-\x20\x7f]", url):
        raise ValueError("this is not the address of a server; write it as http://localhost:8000/v1")
    return url


ServerUrl = Annotated[str, AfterValidator(_without_credentials)]
"""The http or https address of a server, without user, password and query."""


def hide_credentials(line: str) -> str:
    """A line with asterisks for users, passwords and queries of URLs; its length stays."""
    return _URL.sub(lambda url: _SECRET_PARTS.sub(lambda found: "*" * len(found[0]), url[0]), line)
