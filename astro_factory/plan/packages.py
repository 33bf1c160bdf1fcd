"""Which optional packages the stages of a spec need, and which of these are not installed."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from astro_factory.core.errors import Diagnostic
from astro_factory.core.graph import GraphNode
from astro_factory.core.packages import missing, not_installed
from astro_factory.core.ray_cluster import uses_ray

_KINDS = {
    "init": ("torch", "transformers"),
    "gguf": ("torch", "transformers", "gguf"),
    "hub": ("datasets",),
    "reasoning_gym": ("reasoning_gym",),
}
"""What kinds need that neither train nor sample. A model of kind `hub` is only a pointer."""
_SAMPLERS = {
    "transformers": ("torch", "transformers"),
    "vllm": ("torch", "transformers", "vllm"),
    "openai": ("transformers",),  # its tokenizer
    "scripted": ("transformers",),
}
"""What an engine, or the engine of rollouts, needs."""


def needed_packages(node: GraphNode) -> list[str]:
    """The optional packages that a run of a stage imports."""
    config: Any = node.config
    names = list(_KINDS.get(node.kind, ())) if node.heavy else []
    if node.kind in ("sft", "grpo"):
        names += ["torch", "transformers", "trl"]
        names += ["deepspeed"] * bool(config.launch.deepspeed) + ["peft"] * bool(config.adapter)
    for sampler in (getattr(config, "engine", None), getattr(config, "rollouts", None)):
        names += _SAMPLERS.get(getattr(sampler, "kind", ""), ())
    if uses_ray(config):
        names.append("ray")
    return list(dict.fromkeys(names))


def missing_packages(nodes: Iterable[GraphNode], code: str) -> list[Diagnostic]:
    """One diagnostic about all packages that are needed and not installed, at the first stage that needs one."""
    found = {node.name: (node, names) for node in nodes if (names := missing(needed_packages(node)))}
    if not found:
        return []
    (first, _), more = next(iter(found.values())), len(found) - 1
    others = f" and {more} more stage{'s' * (more != 1)}" if more else ""
    packages = dict.fromkeys(name for _, names in found.values() for name in names)
    problem = not_installed(packages, f"'{first.name}'{others} need{'' if more else 's'}", code)
    return [replace(problem, place=first.place)]
