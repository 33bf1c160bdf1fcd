"""Rollouts from vLLM through TRL: what is set before an engine starts, and the weights that reach it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from astro_factory.training.adapters import adapter_of, merged_weights
from astro_factory.training.rollout_settings import RolloutCorrection, VLLMRollouts
from astro_factory.training.settings import GRPOSettings

if TYPE_CHECKING:
    from torch import nn
    from trl.trainer.grpo_trainer import GRPOTrainer


def prepare_vllm(rollouts: VLLMRollouts) -> None:
    """Configure vLLM in this process: no usage statistics; on a CPU, layers whose weights can be replaced.

    On a CPU vLLM packs the weights of linear layers for oneDNN or its own kernels, which leaves no parameter to load
    new weights into. Without these kernels it computes with torch's linear layers.
    """
    import torch

    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    if rollouts.mode == "colocate" and not torch.cuda.is_available():
        import vllm._custom_ops
        import vllm.model_executor.layers.utils as layers

        vllm._custom_ops._supports_onednn = False
        layers.check_cpu_sgl_kernel = lambda *_, **__: False


def rollout_arguments(settings: GRPOSettings) -> dict[str, Any]:
    """TRL's arguments for the rollouts."""
    rollouts = settings.rollouts
    if not isinstance(rollouts, VLLMRollouts):
        return _correction_arguments(settings.correction) if settings.correction else {}
    return {
        "use_vllm": True,
        "vllm_mode": rollouts.mode,
        "vllm_server_base_url": rollouts.server_url,
        "vllm_gpu_memory_utilization": rollouts.gpu_memory_utilization,
        "vllm_tensor_parallel_size": rollouts.tensor_parallel_size,
        "vllm_max_model_length": rollouts.max_model_len,
        "vllm_enable_sleep_mode": rollouts.sleep,
        **_correction_arguments(rollouts.correction),
    }


def _correction_arguments(correction: RolloutCorrection | None) -> dict[str, Any]:
    if correction is None:
        return {"vllm_importance_sampling_correction": False}
    return {
        "vllm_importance_sampling_mode": correction.mode,
        "vllm_importance_sampling_clip_max": correction.max_ratio,
        "vllm_importance_sampling_clip_min": correction.min_ratio,
    }


def send_merged_weights(trainer: "GRPOTrainer", model: "nn.Module") -> None:
    """Have TRL send vLLM the weights with the adapter merged, if the model has one, without changing the model."""
    if (wrapped := adapter_of(model)) is not None:
        trainer.vllm_generation._iter_named_params = lambda: merged_weights(wrapped)  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def sampling_model(trainer: "GRPOTrainer", settings: GRPOSettings) -> "Iterator[nn.Module]":
    """The model with whole weights, for a sampler in this process. A server has weights of its own."""
    from trl.models.utils import unwrap_model_for_generation

    assert trainer.model is not None
    if settings.served:
        yield trainer.model
        return
    with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:  # pyright: ignore[reportArgumentType]
        yield model  # pyright: ignore[reportReturnType]


class OwnWeights:
    """In place of TRL's vLLM, where the sampler of this process reads the trained weights themselves."""

    def sync_weights(self) -> None:
        """Do nothing."""
