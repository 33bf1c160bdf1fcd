"""Settings of how reinforcement learning samples responses, and how the loss corrects for it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from astro_factory.core.config import LATER, NOT_SEMANTIC, Config
from astro_factory.core.urls import ServerUrl


class RolloutCorrection(Config):
    """Importance sampling: tokens count by the ratio of the probabilities that training and the sampler give them.

    They differ a little where an engine computes the same model with other kernels, and more where responses come from
    the weights before an update (`off_policy_steps`).
    """

    mode: Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = "token_truncate"
    """`truncate` limits ratios to the bounds, `mask` leaves out what is outside. A sequence's ratio is the product over
    its tokens: the longer the response, the more often it is outside."""
    max_ratio: float = Field(default=2.0, gt=1)
    """Highest ratio."""
    min_ratio: float | None = Field(default=None, ge=0, lt=1)
    """Lowest ratio; by default there is no bound."""


class EngineRollouts(Config):
    """Rollouts are sampled in the training processes."""

    kind: Literal["engine"]
    batch_size: Annotated[int, NOT_SEMANTIC] = Field(default=256, ge=1)
    """Samples generated together in each process; it affects speed and memory, not the samples."""
    correction: Annotated[RolloutCorrection, LATER] = RolloutCorrection()
    """How the loss corrects for older weights, with `off_policy_steps`; otherwise the current weights sample."""


class VLLMRollouts(Config):
    """Rollouts come from vLLM; they are recorded, not reproducible."""

    kind: Literal["vllm"]
    mode: Literal["colocate", "server"] = "colocate"
    """`colocate`: an engine in each training process; `server`: weights are sent to a running server (`vllm serve`)."""
    server_url: Annotated[ServerUrl | None, NOT_SEMANTIC] = None
    """Base URL of the server, such as `http://host:8000`; needed in the mode `server`."""
    timeout_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 600.0
    """How long a server may take for one response."""
    retries: Annotated[int, Field(ge=0), NOT_SEMANTIC] = 6
    """How often a request to a server is repeated, after growing waits, before the stage ends; it can then resume."""
    gpu_memory_utilization: Annotated[float, NOT_SEMANTIC] = Field(0.3, gt=0, le=1)
    """Share of each GPU's total memory for a colocated engine: its copy of the weights, and the KV cache."""
    tensor_parallel_size: int = Field(1, ge=1)
    """GPUs that share one engine."""
    max_model_len: int | None = Field(None, ge=2)
    """Longest prompt and response together, in tokens; the default is the model's limit."""
    sleep: Annotated[bool, NOT_SEMANTIC] = False
    """Whether a colocated engine releases its memory while weights are updated."""
    correction: RolloutCorrection | None = RolloutCorrection()
    """How the loss corrects for the engine's other probabilities; null does not correct, and measures no mismatch."""

    @model_validator(mode="after")
    def _served(self) -> "VLLMRollouts":
        if self.mode == "server" and self.server_url is None:
            raise ValueError("the mode server needs server_url, such as http://host:8000")
        if self.server_url and self.server_url.rstrip("/").endswith("/v1"):
            raise ValueError("server_url is the address of the server itself, without /v1")
        if self.mode == "colocate" and self.server_url is not None:
            raise ValueError("server_url needs `mode: server`; a colocated engine has no server")
        return self
