"""The optimizers (AdamW, or Muon for hidden matrices and AdamW for the rest) and the learning rate schedule."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from astro_factory.core.devices import cpu_multiplies_bf16
from astro_factory.training.adapters import Trained
from astro_factory.training.settings import TrainingConfig


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon and AdamW as one optimizer with one learning rate.

    Muon's update is scaled to the root mean square of AdamW's (arXiv 2502.16982, section 2.2), so one learning rate and
    one schedule suit both. State and parameter groups belong to this object; the two optimizers share them.
    """

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW):
        self._parts = (muon, adamw)
        self._slow_in_bf16 = muon.param_groups[0]["params"][0].device.type == "cpu" and not cpu_multiplies_bf16()
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share_state()

    def _share_state(self) -> None:
        groups = iter(self.param_groups)
        for part in self._parts:
            part.state = self.state
            part.param_groups = [next(groups) for _ in part.param_groups]

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self._share_state()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        orthogonalizing: AbstractContextManager[Any] = InSinglePrecision() if self._slow_in_bf16 else nullcontext()
        with orthogonalizing:
            for part in self._parts:
                part.step()


class InSinglePrecision(TorchFunctionMode):
    """Keeps in fp32 what code converts to bf16. torch's Muon orthogonalizes in bf16, which is fast on GPUs."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.bfloat16:
            return args[0].to(torch.float32, copy=True)  # a new tensor, like the one it stands for
        return func(*args, **(kwargs or {}))


def make_optimizer(model: Trained, settings: TrainingConfig) -> torch.optim.Optimizer:
    """The optimizer of `settings` for the model's trainable weights; vectors (norms, biases) have no weight decay."""
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    outer = {id(m.weight) for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None}
    matrices = [weight for _, weight in named if _dimensions(weight) >= 2]
    vectors = [weight for _, weight in named if _dimensions(weight) < 2]
    hidden = [
        weight
        for weight in matrices
        if settings.optimizer == "muon" and _dimensions(weight) == 2 and id(weight) not in outer
    ]
    inner = {id(weight) for weight in hidden}
    rate, decay = settings.learning_rate, settings.weight_decay
    groups = [
        {"params": [weight for weight in matrices if id(weight) not in inner], "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adamw_8bit":
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(groups, lr=rate, betas=settings.adam_betas)
    adamw = torch.optim.AdamW(groups, lr=rate, betas=settings.adam_betas, fused=True)
    if not hidden:
        return adamw
    muon = torch.optim.Muon(hidden, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return MuonWithAdamW(muon, adamw)


def _dimensions(weight: torch.Tensor) -> int:
    """Dimensions of a whole weight; DeepSpeed's stage 3 leaves an empty tensor in its place and keeps its shape."""
    return len(getattr(weight, "ds_shape", weight.shape))


def learning_rate_share(step: int, total: int, settings: TrainingConfig) -> float:
    """Learning rate of optimizer step `step` (from 0) of `total`, as a share of the peak."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return 1.0
    progress = min(1.0, (step - settings.warmup_steps) / max(1, total - settings.warmup_steps))
    remaining = 1 - progress if settings.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return settings.min_learning_rate_ratio + (1 - settings.min_learning_rate_ratio) * remaining
