"""Licence rules for publications: known identifiers, the Llama terms, and problem sets whose terms apply to copies.

They are checked before any GPU time is spent. This guards against oversights; it is not legal advice.
"""

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

_IDENTIFIERS = """
afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research intel-research isc lgpl
lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by
ofl-1.1 openmdw-1.0 openmdw-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
"""
KNOWN = frozenset(_IDENTIFIERS.split())
"""The identifiers that the Hub accepts in cards."""

_LLAMA = re.compile(r"(?i)llama[-_ ]?([34])(?:\.(\d))?(?![\d.b])")
_STICKY = re.compile(r"(?:-|^)(nc|sa|nd|noncommercial|sharing|odbl|gpl)(?:-|$)")


class LlamaTerms(NamedTuple):
    """The terms for distributing a Llama 3 or 4 model and works made with it."""

    licence: str
    """The Hub's identifier, such as `llama3.1`."""

    @property
    def version(self) -> str:
        return self.licence.removeprefix("llama")

    @property
    def family(self) -> str:
        return f"Meta Llama {self.version}" if self.version == "3" else f"Llama {self.version}"

    @property
    def built_with(self) -> str:
        """The text that the licence requires on the model's page."""
        return "Built with Meta Llama 3" if self.version == "3" else "Built with Llama"

    @property
    def link(self) -> str:
        return f"https://www.llama.com/llama{self.version.replace('.', '_')}/license/"

    @property
    def notice(self) -> str:
        """The text that the licence requires in a file next to the weights."""
        licence = f"{self.family} is licensed under the {self.family} Community License"
        return f"{licence}, Copyright © Meta Platforms, Inc. All Rights Reserved.\n"

    def allows_name(self, name: str) -> bool:
        """Whether a model's name begins as the licence requires: with Llama, or with Llama 3 under the first one."""
        begin = "llama3" if self.version == "3" else "llama"
        return re.sub(r"[\W_]", "", name).lower().startswith(begin)


def unknown_licence(licence: str) -> str | None:
    """Why the Hub does not know a licence identifier, with near matches, or None."""
    if licence in KNOWN:
        return None
    near = difflib.get_close_matches(licence.lower(), sorted(KNOWN), n=3)
    hint = (
        f"did you mean {' or '.join(repr(name) for name in near)}?"
        if near
        else "use `other` for a licence without an identifier"
    )
    return f"'{licence}' is not a licence identifier of the Hub; {hint}"


def llama_terms(models: Iterable[str]) -> LlamaTerms | None:
    """The terms of the first Llama 3 or 4 model among Hub repositories, recognized by name.

    They do not apply to other weights with the Llama architecture (SmolLM2, a model trained from scratch).
    """
    for repo in models:
        if match := _LLAMA.search(repo.rpartition("/")[2]):
            return LlamaTerms(f"llama{match[1]}" + (f".{match[2]}" if match[2] else ""))
    return None


def conflict(own: str | None, source: str) -> bool:
    """Whether a problem set's licence governs copies (non-commercial, share-alike, unmodified) and ours is another."""
    return bool(_STICKY.search(source)) and own != source
