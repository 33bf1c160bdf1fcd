"""The memory formula against the allocations that PyTorch counts, real ones and, at the size of Llama 8B, fake ones."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch
import transformers.models.llama.modeling_llama as llama
import trl.kernels.chunked_logprob as fused
from peft import LoraConfig, get_peft_model
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.utils import add_fused_lm_head

from astro_factory.core.model_shapes import ModelShape
from astro_factory.training.memory import (
    TrainingStep,
    adapter_parameters,
    offloaded_memory,
    saving_memory,
    training_memory,
)
from astro_factory.training.sft import losses_from_logits

TINY = ModelShape(256, 768, 3, 8, 2, 32, 2000, 2048, False, 4)
EIGHT_B = ModelShape(4096, 14336, 32, 32, 8, 128, 128256, 8192, False, 2)
THIN_8B = replace(EIGHT_B, layers=2)
"""Llama 8B with two of its layers: the formula is linear in them."""


@dataclass
class Case:
    shape: ModelShape
    step: TrainingStep

    def measured(self, monkeypatch) -> int:
        """Bytes at the peak of a forward and a backward pass, with weights, optimizer states and gradients."""
        fake = FakeTensorMode(allow_non_fake_inputs=True) if self.step.fused_head else nullcontext()
        if (
            self.step.fused_head
        ):  # on GPUs, Triton works in place in the tile; under fake tensors the mask is not skipped
            for name in ("_forward_tile", "_backward_tile", "_addmm_fp32"):
                monkeypatch.setattr(fused, name, lambda *_, **__: None)
            monkeypatch.setattr(llama, "create_causal_mask", lambda *_, **__: None)
        with fake:
            model, optimizer = self._model_and_optimizer()
            tracker = MemTracker()
            tracker.track_external(model, optimizer)
            with tracker:
                self._forward(model).backward()
            peak = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
        return peak["Total"]

    def _model_and_optimizer(self):
        config = self._config()
        model = LlamaForCausalLM(config).train()
        if self.step.adapter_rank:
            model = get_peft_model(
                model.to(torch.bfloat16 if self.step.bf16 else torch.float32),
                LoraConfig(
                    r=self.step.adapter_rank, target_modules=list(self.shape.linear_layers), task_type="CAUSAL_LM"
                ),
            )
        if self.step.fused_head:
            add_fused_lm_head(model.get_base_model() if self.step.adapter_rank else model)
        if self.step.checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            if self.step.adapter_rank:
                model.enable_input_require_grads()
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained)
        for weight in trained:
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        if not self.step.accumulates:
            optimizer.zero_grad()
        return model, optimizer

    def _config(self):
        return LlamaConfig(
            hidden_size=self.shape.hidden,
            intermediate_size=self.shape.intermediate,
            num_hidden_layers=self.shape.layers,
            num_attention_heads=self.shape.heads,
            num_key_value_heads=self.shape.kv_heads,
            head_dim=self.shape.head_dim,
            vocab_size=self.shape.vocabulary,
            attn_implementation="eager" if self.step.scores_width else "sdpa",
        )

    def _forward(self, model):
        ids = torch.randint(0, self.shape.vocabulary, (self.step.sequences, self.step.tokens // self.step.sequences))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.step.bf16):
            if self.step.fused_head:
                return model(input_ids=ids, labels=ids, fused_lm_head=True).loss
            batch = {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}
            return losses_from_logits(model, batch).sum


def case(shape: ModelShape, *, bf16: bool, checkpointing: bool, accumulates: bool) -> Case:
    real = shape is TINY
    tokens, sequences = (1024, 4) if real else (8192, 2)
    step = TrainingStep(tokens, sequences, bf16, checkpointing=checkpointing, accumulates=accumulates)
    return Case(shape, replace(step, fused_head=not real))


def nightly(*cases: tuple) -> list:
    """Mixed settings, which `make test-nightly` alone runs; CI keeps those with all of them off and all on."""
    return [pytest.param(*case, marks=pytest.mark.nightly) for case in cases]


OFF, ON = (False, False, False), (True, True, True)


@pytest.mark.parametrize(
    ("bf16", "checkpointing", "accumulates"),
    [OFF, ON, *nightly(*(case for case in product([False, True], repeat=3) if case not in (OFF, ON)))],
)
def test_a_small_model(bf16, checkpointing, accumulates, monkeypatch):
    one = case(TINY, bf16=bf16, checkpointing=checkpointing, accumulates=accumulates)
    assert sum(training_memory(TINY, one.step).values()) == pytest.approx(one.measured(monkeypatch), rel=0.1)


class NoHook:
    def remove(self) -> None:
        pass


def hook_on_trained_weights_only(monkeypatch):
    """The tracker asks every weight for a hook, which frozen ones refuse."""
    for name in ("register_hook", "register_post_accumulate_grad_hook"):
        hook = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda weight, call, hook=hook: hook(weight, call) if weight.requires_grad else NoHook()
        )


@pytest.mark.parametrize(
    ("bf16", "checkpointing", "scores_width"),
    [
        (False, False, 0),
        (True, True, 256),
        *nightly((False, True, 0), (True, False, 0), (True, True, 0), (True, False, 256)),
    ],
)
def test_an_adapter_on_a_small_model(bf16, checkpointing, scores_width, monkeypatch):
    one = case(TINY, bf16=bf16, checkpointing=checkpointing, accumulates=True)
    one.step = replace(one.step, adapter_rank=32, scores_width=scores_width)
    hook_on_trained_weights_only(monkeypatch)
    assert sum(training_memory(TINY, one.step).values()) == pytest.approx(one.measured(monkeypatch), rel=0.1)


def test_what_an_adapter_saves():
    """Bytes of weights, moments and gradients of Llama 8B: in bf16, in 4 bits, with moments in 8 bits."""
    step = TrainingStep(1, accumulates=True, adapter_rank=32)
    count, inside = EIGHT_B.parameters, EIGHT_B.layers * EIGHT_B.layer_weights
    trained = adapter_parameters(EIGHT_B, step)
    assert trained == 83_886_080
    states = ("weights", "optimizer", "gradients")
    parts = training_memory(EIGHT_B, step)
    assert [parts[name] for name in states] == [2 * count + 4 * trained, 8 * trained, 4 * trained]
    four = training_memory(EIGHT_B, replace(step, four_bits=True, eight_bit_moments=True))
    assert four["weights"] == pytest.approx(4 * trained + 2 * (count - inside) + 0.516 * inside, rel=0.001)
    assert four["optimizer"] == 2 * trained
    assert adapter_parameters(EIGHT_B, replace(step, adapter_modules=("q_proj",))) == 32 * 32 * 2 * 4096


@pytest.mark.slow
@pytest.mark.parametrize(("bf16", "checkpointing"), [(True, True), (False, False)])
def test_two_layers_of_8b(bf16, checkpointing, monkeypatch):
    one = case(THIN_8B, bf16=bf16, checkpointing=checkpointing, accumulates=True)
    assert sum(training_memory(THIN_8B, one.step).values()) == pytest.approx(one.measured(monkeypatch), rel=0.1)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("accumulates", [False, True])
@pytest.mark.parametrize(("bf16", "checkpointing"), [(True, True), (True, False), (False, True), (False, False)])
def test_8b(bf16, checkpointing, accumulates, monkeypatch):
    one = case(EIGHT_B, bf16=bf16, checkpointing=checkpointing, accumulates=accumulates)
    assert sum(training_memory(EIGHT_B, one.step).values()) == pytest.approx(one.measured(monkeypatch), rel=0.1)


def test_sharding_divides_what_zero_says():
    step = TrainingStep(1, processes=8, accumulates=True)
    count = EIGHT_B.parameters
    wanted = {1: (2, 12 / 8, 4), 2: (2, 12 / 8, 4 / 8), 3: (2 / 8, 12 / 8, 4 / 8)}  # bytes a parameter
    for stage, bytes_ in wanted.items():
        parts = training_memory(EIGHT_B, replace(step, zero_stage=stage))
        assert [parts[name] / count for name in ("weights", "optimizer", "gradients")] == pytest.approx(bytes_)
    offloaded = replace(step, zero_stage=2, offload_optimizer=True)
    assert training_memory(EIGHT_B, offloaded)["optimizer"] == 0
    assert offloaded_memory(EIGHT_B, offloaded) == pytest.approx(12 * count / 8)
    adapter = replace(offloaded, adapter_rank=32)  # only what is trained has states
    assert offloaded_memory(EIGHT_B, adapter) == pytest.approx(12 * adapter_parameters(EIGHT_B, adapter) / 8)
    halved = replace(offloaded, eight_bit_moments=True)
    assert offloaded_memory(EIGHT_B, halved) == pytest.approx(6 * count / 8)


def test_one_process_gathers_what_it_saves():
    step = TrainingStep(1, processes=8, zero_stage=3)
    count = EIGHT_B.parameters
    assert saving_memory(EIGHT_B, step, merges=False) == 2 * count
    assert saving_memory(EIGHT_B, replace(step, bf16=False), merges=False) == 4 * count
    assert saving_memory(EIGHT_B, replace(step, adapter_rank=8), merges=True) == 6 * count
