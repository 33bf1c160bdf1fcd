"""A model folder on this machine, as `save_pretrained` writes it: config, safetensors weights, tokenizer.

It may be a LoRA adapter, with its base in the folder `base/` or named by a commit of the Hub.

If its chat template reads the clock, the artifact has one more file, `prompt_date.txt`, with the date in all prompts:
results that were made with the date of the day have other keys.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from astro_factory.core.adapters import OTHER_FORM, NoBase, parse_adapter, read_adapter
from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.chat_templates import CLOCK_FUNCTION, PROMPT_DATE
from astro_factory.core.config import FolderField, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.files import kind_of
from astro_factory.core.models import ADAPTER_CONFIG, BASE, MODEL_FILES, POINTER, unsafe_settings

OUTPUT = ArtifactType.MODEL
VERSION = 2
HEAVY = False

_INDEX = "model.safetensors.index.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Files with a vocabulary; one of them is needed."""
TOKENIZER_FILES = (*_TOKENIZERS, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
TOKENIZER_FILES += ("merges.txt", "*.jinja", "chat_template.json")
_KEPT = (*MODEL_FILES, "*.py")
_DATE_FILE = "prompt_date.txt"
_CODE = "E432"


class Config(StageConfig):
    kind: Literal["local"]
    path: FolderField
    """The folder, relative to the spec's."""


def check(config: Config, files: Mapping[str, str]) -> list[Diagnostic]:
    """Everything that `run` would report. The compiler itself reports a missing folder."""
    folder = Path(files[config.path])
    return _diagnostics(folder, config.path) if folder.exists() else []


def run(ctx: StageContext, config: Config) -> None:
    folder = ctx.inputs[config.path]
    if faults := _diagnostics(folder, config.path):
        raise UserError(*faults)
    _copy(folder, ctx.out)
    if adapter := read_adapter(folder):
        base = ctx.out / BASE
        base.mkdir()
        if (folder / BASE).is_dir():
            _copy(folder / BASE, base)
        elif adapter.base_on_hub:
            (base / POINTER).write_text(adapter.base_on_hub, encoding="utf-8")
    note_prompt_date(ctx.out)


def note_prompt_date(folder: Path) -> None:
    """Write the date of all prompts into a model folder whose chat template reads the clock."""
    if any(CLOCK_FUNCTION in template for template in _chat_templates(folder)):
        (folder / _DATE_FILE).write_text(PROMPT_DATE + "\n", encoding="utf-8")


def _copy(folder: Path, out: Path) -> None:
    for path in sorted({path for pattern in _KEPT for path in folder.glob(pattern)}):
        # no hard link: a later save into the folder would change the file in the store
        shutil.copyfile(path, out / path.name)


def check_model_folder(folder: Path) -> list[tuple[str, str]]:
    """Why a folder is not a complete model, as (cause, remedy). Reads no weights and loads no library."""
    if not folder.is_dir():
        return [("it is not a folder", "name the folder that `save_pretrained` wrote")]
    faults = _adapter_faults(folder) if (folder / ADAPTER_CONFIG).is_file() else _model_faults(folder)
    return faults + tokenizer_faults(folder)


def tokenizer_faults(folder: Path) -> list[tuple[str, str]]:
    """Why a folder has no complete tokenizer, as (cause, remedy)."""
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        remedy = (
            "save the tokenizer the model was trained with beside it: "
            "`AutoTokenizer.from_pretrained(...).save_pretrained(folder)`"
        )
        return [(f"there is no tokenizer ({', '.join(_TOKENIZERS)})", remedy)]
    if not any(_chat_templates(folder)):
        remedy = "set `tokenizer.chat_template` and save it again; a base model can take the template of its chat model"
        return [("the tokenizer has no chat template, so questions have no form", remedy)]
    return []


def _model_faults(folder: Path) -> list[tuple[str, str]]:
    """What is wrong with config and weights."""
    faults = []
    if not (folder / "config.json").is_file():
        faults.append(("there is no config.json", "save the model with `model.save_pretrained(folder)`"))
    faults += unsafe_settings(folder)
    if missing := _missing_weights(folder):
        remedy = "save the model with `model.save_pretrained(folder)`, which writes safetensors"
        faults.append((f"the weights are missing ({', '.join(missing)})", remedy))
    return faults


def _adapter_faults(folder: Path) -> list[tuple[str, str]]:
    """What is wrong with an adapter and its base."""
    try:
        parse_adapter(folder)
    except NoBase as error:
        remedy = f"copy the model that it was trained on to {BASE}/, or name its repository and commit (`revision`)"
        return [(str(error), remedy)]
    except ValueError as error:
        return [(str(error), OTHER_FORM)]
    base = folder / BASE
    if not base.is_dir() or (base / POINTER).is_file():
        return unsafe_settings(folder)
    return [(f"in {BASE}/, {cause}", remedy) for cause, remedy in _model_faults(base)] + unsafe_settings(folder)


def _diagnostics(folder: Path, shown: str) -> list[Diagnostic]:
    faults = check_model_folder(folder)
    return [Diagnostic(_CODE, f"'{shown}' is no model: {cause}", remedy) for cause, remedy in faults]


def _missing_weights(folder: Path) -> list[str]:
    if (folder / "model.safetensors").is_file():
        return []
    index = _json(folder / _INDEX).get("weight_map")
    if not isinstance(index, dict):
        return ["model.safetensors"]
    return [name for name in sorted(set(map(str, index.values()))) if kind_of(folder / name) != "file"]


def _chat_templates(folder: Path) -> list[str]:
    """The chat templates of a folder as text; one of several forms in a JSON file is not taken apart."""
    file = folder / "chat_template.jinja"
    found = [_json(folder / name).get("chat_template") for name in ("tokenizer_config.json", "chat_template.json")]
    return (
        [file.read_text(encoding="utf-8", errors="replace")]
        if file.is_file()
        else [str(text) for text in found if text]
    )


def _json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
