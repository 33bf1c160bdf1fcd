"""Options for vLLM that our configuration has no field for, checked without importing vLLM.

Their names are those of `EngineArgs` in the installed version, whose source is read for them; importing vLLM takes
seconds, and `check` must not. Without vLLM in this environment names are not checked here, but where the spec is built.
"""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from astro_factory.core.errors import near

_OURS = {
    "model": "a stage names its model",
    "tokenizer": "it is the model's",
    "seed": "every sample has its own",
    "generation_config": "sampling settings come from the request",
    "enable_prefix_caching": "it is always on",
    "logprobs_mode": "trees store log-probabilities at temperature 1",
    "device_ids": "the scheduler assigns devices",
}
"""Arguments that the engine sets itself, and why."""
_CODE = ("code_revision", "logits_processors", "trust_remote_code", "worker_cls", "worker_extension_cls")
_CODE += ("io_processor_plugin", "model_class_overrides", "reasoning_parser_plugin", "scheduler_cls")
"""Arguments that load code, which a spec must not do."""
_CLASSES = ("EngineArgs", "AsyncEngineArgs")


def check_options(options: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Raises ValueError for an option that vLLM does not know, that another place sets, or that loads code.

    Args:
        fields: names of the engine's own fields.
    """
    fields, known = set(fields), argument_names()
    for name in options:
        if name in fields:
            raise ValueError(f"'{name}' is a field of the engine; write it beside `options`")
        if reason := _OURS.get(name):
            raise ValueError(f"'{name}' cannot be set: {reason}")
        if name in _CODE:
            raise ValueError(f"'{name}' cannot be set: it loads code")
        if known and name not in known:
            free = known - fields - {*_OURS, *_CODE}
            raise ValueError(f"the installed vLLM has no option '{name}'; {near(name, free)}")


@cache
def argument_names() -> frozenset[str]:
    """The engine arguments of the installed vLLM; empty without vLLM."""
    found = find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        return frozenset()
    source = Path(found.submodule_search_locations[0]) / "engine/arg_utils.py"
    if not source.is_file():
        return frozenset()
    classes = [node for node in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    fields = [node for found in classes if found.name in _CLASSES for node in found.body]
    targets = [node.target for node in fields if isinstance(node, ast.AnnAssign)]
    return frozenset(target.id for target in targets if isinstance(target, ast.Name) and not target.id.startswith("_"))
