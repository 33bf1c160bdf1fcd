"""A tokenizer from its files by `tokenizers` alone: a preview need not wait for transformers.

It answers the calls of `core.chat` as transformers does; tests compare the ids.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class LightTokenizer:
    """The tokenizer of a model folder."""

    def __init__(self, folder: Path):
        """Raises LookupError where the folder lacks `tokenizer.json`, a chat template or an end-of-sequence token."""
        from tokenizers import Tokenizer

        config = _read(folder / "tokenizer_config.json")
        self.special_tokens_map = {name: _content(config[name]) for name in _SPECIAL if config.get(name)}
        template = _template(folder, config)
        if not (folder / "tokenizer.json").is_file() or template is None or "eos_token" not in self.special_tokens_map:
            raise LookupError(f"{folder} lacks tokenizer.json, a chat template or eos_token")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._chat_template = template

    @property
    def eos_token_id(self) -> int:
        found = self._tokenizer.token_to_id(self.eos_token)
        assert found is not None
        return found

    def get_chat_template(self) -> str:
        """The Jinja source of the chat template."""
        return self._chat_template

    def __call__(
        self, text: str, *, add_special_tokens: bool = True, return_offsets_mapping: bool = False
    ) -> dict[str, Any]:
        """`input_ids` and, if requested, `offset_mapping`."""
        found = self._tokenizer.encode(text, add_special_tokens=add_special_tokens)
        return {"input_ids": found.ids} | ({"offset_mapping": found.offsets} if return_offsets_mapping else {})

    @property
    def eos_token(self) -> str:
        return self.special_tokens_map["eos_token"]

    def pieces(self, text: str) -> list[str]:
        """The part of a text that each of its ids stands for, with the white space before it."""
        ends = [
            0,
            *(end for _, end in self(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]),
        ]
        return [text[start:end] for start, end in pairwise(ends)]


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _content(token: str | dict[str, Any]) -> str:
    return token if isinstance(token, str) else token["content"]


def _template(folder: Path, config: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = config.get("chat_template")
    if isinstance(found, list):
        found = next((entry["template"] for entry in found if entry["name"] == "default"), None)
    return found
