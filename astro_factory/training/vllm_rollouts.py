"""Rollouts from vLLM through TRL: what is set before an engine starts, and what a server must offer.

TRL sends the weights to a server over NCCL, through endpoints that vLLM opens in its development mode only.
`check_server` asks a server for its configuration before training starts, so that a wrong flag costs no GPU time.
"""

import json
import os
import shlex
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.adapters import base_source, read_adapter
from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source
from astro_factory.training.adapters import adapter_of, merged_weights
from astro_factory.training.settings import EngineRollouts, GRPOSettings, RolloutCorrection, VLLMRollouts

if TYPE_CHECKING:
    from torch import nn
    from trl.trainer.grpo_trainer import GRPOTrainer

_TIMEOUT_S = 30.0
_MAX_BYTES = 1 << 24
_LOGPROBS = "processed_logprobs"
"""vLLM's name for log-probabilities at the sampling temperature, which the loss compares with the model's own."""


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


def rollout_arguments(rollouts: EngineRollouts | VLLMRollouts) -> dict[str, Any]:
    """TRL's arguments for these rollouts."""
    if not isinstance(rollouts, VLLMRollouts):
        return {}
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


def check_server(settings: GRPOSettings, rollouts: VLLMRollouts, model: Path) -> None:
    """Raises `UserError` E621 unless the server of `rollouts` can receive weights and serve responses of this length.

    Args:
        model: the model artifact that training starts from.
    """
    import torch

    url = str(rollouts.server_url).rstrip("/")
    command = f"start it with\n    {server_command(settings, rollouts, model)}"
    if not torch.cuda.is_available():
        raise UserError.of(
            "E621",
            "weights are sent to a vLLM server over NCCL, which needs a GPU, and this process has none",
            "use `rollouts: {kind: vllm}` (colocated) or `rollouts: {kind: engine}`",
        )
    if fault := _fault(settings, url):
        raise UserError.of("E621", f"the vLLM server at {url} {fault}", command)


def server_command(settings: GRPOSettings, rollouts: VLLMRollouts, model: Path) -> str:
    """The shell command that starts a server for these rollouts."""
    arguments = ["vllm", "serve", str(_served(model)), "--weight-transfer-config", '{"backend": "nccl"}']
    arguments += ["--logprobs-mode", _LOGPROBS, "--generation-config", "vllm"]
    if rollouts.max_model_len:
        arguments += ["--max-model-len", str(rollouts.max_model_len)]
    return f"VLLM_NO_USAGE_STATS=1 VLLM_SERVER_DEV_MODE=1 {shlex.join(arguments)}"


def _served(folder: Path) -> Path:
    """The whole model that a server loads; an adapter reaches it with the weights."""
    source = model_source(folder)
    return base_source(source) if read_adapter(source) else source


def _fault(settings: GRPOSettings, url: str) -> str:
    """What is wrong with the server at `url`; empty if nothing is."""
    try:
        with urllib.request.urlopen(f"{url}/server_info?config_format=json", timeout=_TIMEOUT_S) as response:
            config = json.loads(response.read(_MAX_BYTES))["vllm_config"]
        model: dict[str, Any] = config["model_config"]
        transfer: dict[str, Any] | None = config["weight_transfer_config"]
        longest, logprobs = int(model["max_model_len"]), model["logprobs_mode"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return "does not offer its development endpoints, through which it receives weights"
        return f"responds with status {error.code}"
    except OSError as error:
        return f"cannot be reached: {getattr(error, 'reason', error)}"
    except (KeyError, TypeError, ValueError) as error:
        return f"describes its configuration in another form than vLLM 0.31 and 0.32 ({error!r})"
    if not transfer or transfer.get("backend") != "nccl":
        return "cannot receive weights over NCCL"
    if longest <= settings.max_new_tokens:
        return f"has a context of {longest} tokens, which max_new_tokens ({settings.max_new_tokens}) fills"
    if logprobs != _LOGPROBS:
        return f"returns {logprobs} instead of {_LOGPROBS}"
    return ""
