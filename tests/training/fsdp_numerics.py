"""A program for `torchrun` that trains a model with DDP and with FSDP2 over gloo, and prints the losses as JSON.

Accelerate never shards on a CPU. So its own sharding is called here, with the plugin that it makes of our arguments.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaForCausalLM
from trl.trainer.sft_config import SFTConfig

from astro_factory.training.optimizers import make_optimizer
from astro_factory.training.saving import _whole
from astro_factory.training.settings import SFTSettings
from astro_factory.training.sft import losses_from_logits
from astro_factory.training.trainers import common_arguments

STEPS = 6


def settings(**sharding: object) -> SFTSettings:
    fields = {"model": "m", "data": "d", "learning_rate": 1e-2, "weight_decay": 0.5}
    return SFTSettings.model_validate(fields | {"launch": {"processes": 2} | sharding})


def plugin(sharded: SFTSettings, folder: Path) -> FullyShardedDataParallelPlugin:
    """What transformers' Trainer makes of our arguments."""
    arguments = SFTConfig(**common_arguments(sharded, folder))
    assert arguments.fsdp_plugin_args is not None
    return FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)


def shard(model: nn.Module, sharded: SFTSettings) -> nn.Module:
    mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("fsdp",))
    with tempfile.TemporaryDirectory() as folder:
        state = SimpleNamespace(fsdp_plugin=plugin(sharded, Path(folder)))
    dimensions = SimpleNamespace(fsdp_dim_names=["fsdp"])
    accelerator = SimpleNamespace(
        state=state, mixed_precision="no", torch_device_mesh={("fsdp",): mesh}, parallelism_config=dimensions
    )
    return fsdp2_prepare_model(accelerator, model)  # pyright: ignore[reportArgumentType]


def batch(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(100 * step + dist.get_rank())
    ids = torch.randint(6, 50, (3, 12), generator=generator)
    return {"input_ids": ids, "labels": ids.clone()}


def train(model: nn.Module, module: LlamaForCausalLM, chosen: SFTSettings) -> dict[str, list[float]]:
    optimizer = make_optimizer(module, chosen)
    found: dict[str, list[float]] = {"losses": [], "norms": []}
    for step in range(STEPS):
        losses = losses_from_logits(model, batch(step))
        # the mean over the tokens of both processes, whose gradients are averaged
        loss = losses.sum / (2 * losses.tokens)
        (loss * 2).backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        found["norms"].append((norm.full_tensor() if isinstance(norm, DTensor) else norm).item())
        optimizer.step()
        optimizer.zero_grad()
        total = loss.detach().clone()
        dist.all_reduce(total)
        found["losses"].append(total.item())
    weights = []
    for _, weight in module.named_parameters():
        with _whole(weight) as whole:
            weights.append(whole.detach().double().norm().item())
    return found | {"weights": weights}


def main(folder: str) -> None:
    dist.init_process_group("gloo")
    plain, sharded = settings(), settings(fsdp={})
    one = LlamaForCausalLM.from_pretrained(folder)
    found = {"ddp": train(DistributedDataParallel(one), one, plain)}
    other = LlamaForCausalLM.from_pretrained(folder)
    model = shard(other, sharded)
    local = sum(weight.to_local().numel() for weight in other.parameters() if isinstance(weight, DTensor))
    found["fsdp"] = train(model, other, sharded)
    if os.environ["RANK"] == "0":
        whole = sum(weight.numel() for weight in one.parameters())
        print(json.dumps(found | {"share": local / whole}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
