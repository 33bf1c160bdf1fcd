"""A program for `torchrun` that prints, as JSON, how each of DeepSpeed's stages treats weights and gradients.

Its model is one linear layer, so that every gradient is known: the inputs are 1 once and then 1/512 fifteen times.
"""

import json
import os

import deepspeed
import torch
from torch import nn

from astro_factory.training.optimizers import make_optimizer
from astro_factory.training.settings import SFTSettings
from astro_factory.training.trainers import deepspeed_config

INPUTS = [1.0] + [1 / 512] * 15
DECAY = 0.5


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def get_input_embeddings(self):
        return None

    get_output_embeddings = get_input_embeddings

    def forward(self, inputs):
        return self.linear(inputs).sum()


def measure(stage: int) -> dict:
    sharding = {"processes": 2, "deepspeed": {"zero_stage": stage}}
    fields = {"model": "m", "data": "d", "learning_rate": 0.1, "weight_decay": DECAY, "precision": "bf16"}
    settings = SFTSettings(**fields, launch=sharding)
    config = deepspeed_config(settings)
    assert config is not None
    config |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": len(INPUTS)}
    with deepspeed.zero.Init(config_dict_or_path=config, enabled=stage == 3):
        model = Layer()
    optimizer = make_optimizer(model, settings)
    weights = [(weight, group["weight_decay"]) for group in optimizer.param_groups for weight in group["params"]]
    decays = {len(getattr(weight, "ds_shape", weight.shape)): decay for weight, decay in weights}
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    for value in INPUTS:
        loss = engine(torch.full((1, 4), value, dtype=torch.bfloat16))
        engine.backward(loss * len(INPUTS))
        if engine.is_gradient_accumulation_boundary():
            gradient = deepspeed.utils.safe_get_full_grad(engine.module.linear.weight)
        engine.step()
    return {"decays": decays, "gradient": gradient.float().mean().item(), "type": str(gradient.dtype)}


if __name__ == "__main__":
    deepspeed.init_distributed("gloo", verbose=False)
    found = {stage: measure(stage) for stage in (2, 3)}
    if os.environ["RANK"] == "0":
        print(json.dumps(found))
