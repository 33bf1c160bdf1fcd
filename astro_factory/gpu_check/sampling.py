"""Checks of sampling: our engine and vLLM against transformers, and reinforcement learning on both."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from astro_factory.gpu_check.rig import Failed, Recorder, Rig, Skip

_LOGPROB = 0.05
"""Largest mean difference of log-probabilities that rounding to bf16 causes."""


def check_engine(rig: Rig) -> str:
    """Our engine ends samples at stop strings, and its log-probabilities are those of transformers."""
    from astro_factory.engines.config import TransformersConfig

    fields = {"kind": "transformers", "dtype": "bfloat16", "device": rig.device}
    return _check_engine(rig, TransformersConfig.model_validate(fields))


def check_vllm(rig: Rig) -> str:
    """The same for vLLM, which returns the GPU's memory when it is closed."""
    import torch

    from astro_factory.engines.config import VllmConfig

    if not find_spec("vllm"):
        raise Skip("vLLM is not installed")
    config = VllmConfig(
        kind="vllm",
        dtype="bfloat16",
        max_model_len=256,
        gpu_memory_utilization=0.25,
        enforce_eager=True,
        max_num_seqs=64,
    )
    free = torch.cuda.mem_get_info()[0] if rig.device == "cuda" else 0
    found = _check_engine(rig, config)
    rig.free()
    if rig.device == "cuda" and (lost := free - torch.cuda.mem_get_info()[0]) > 1e9:
        raise Failed(f"{lost / 1e9:.1f} GB of the GPU's memory are not free after vLLM was closed")
    return found


def check_grpo(rig: Rig) -> str:
    """GRPO with our own rollouts has rewards, gradients and new weights."""
    from astro_factory.stages import grpo

    ctx = rig.context("grpo", model=rig.thin, problems=rig.problems)
    grpo.run(ctx, grpo.Config.model_validate({"kind": "grpo"} | _grpo_fields(rig)))
    assert isinstance(ctx.events, Recorder)
    rig.free()
    return _learning(rig, ctx.events)


def check_grpo_vllm(rig: Rig) -> str:
    """GRPO with colocated vLLM: after each step vLLM has the trained weights, and samples as the trained model does."""
    import torch

    from astro_factory.stages import grpo
    from astro_factory.training import grpo as training
    from astro_factory.training.trainers import train
    from astro_factory.training.weights import load_model, load_tokenizer

    if not find_spec("vllm") or not find_spec("trl"):
        raise Skip("vLLM or TRL is not installed")
    rollouts = {"kind": "vllm", "gpu_memory_utilization": 0.25, "max_model_len": 256}
    settings = grpo.Config.model_validate({"kind": "grpo", "rollouts": rollouts} | _grpo_fields(rig))
    ctx = rig.context("grpo-vllm", model=rig.thin, problems=rig.problems)
    assert isinstance(ctx.events, Recorder)
    task = grpo.make_task(ctx, settings)
    arguments = training.make_arguments(settings, ctx.scratch)
    trainer = training.make_trainer(settings, task, arguments, load_model(settings, rig.thin), load_tokenizer(rig.thin))
    vllm: Any = trainer.vllm_generation
    served = vllm.llm.llm_engine.model_executor.driver_worker.model_runner.model
    before = {name: weight.detach().clone() for name, weight in served.named_parameters()}
    train(trainer, settings, ctx.scratch, ctx.events)
    vllm.sync_weights()
    changed = sum(not torch.equal(before[name], weight) for name, weight in served.named_parameters())
    if changed < len(before) / 2:
        raise Failed(f"only {changed} of vLLM's {len(before)} weights differ after training")
    if wrong := _different(dict(served.named_parameters()), trainer.model):
        raise Failed(f"vLLM's weight {wrong} is not the trained one")
    learning = _learning(rig, ctx.events)
    mismatch = max(point["sampling/mismatch"] for point in ctx.events.points)
    if not mismatch < _LOGPROB:
        raise Failed(f"log-probabilities of vLLM and of training differ by {mismatch:.3f} in the mean")
    return f"{changed} weights synchronized; mismatch {mismatch:.4f}; {learning}"


def _check_engine(rig: Rig, config: Any) -> str:
    from astro_factory.engines import Request, open_engine

    prompts = [tuple(range(20 + index, 40 + index)) for index in range(8)]
    with open_engine(config, rig.thin) as engine:
        samples = engine.generate([Request(prompt, (1, 2), 32) for prompt in prompts])
        greedy = [Request(prompt, (1,), 16, temperature=0.0) for prompt in prompts]
        stop = _common(sample.text for [sample] in engine.generate(greedy))
        ended = [sample for [sample] in engine.generate([replace(request, stop=(stop,)) for request in greedy])]
        texts = [engine.tokenizer.decode(sample.ids, skip_special_tokens=True) for sample in ended]
    for sample, text in zip(ended, texts, strict=True):
        same = _whole(sample.text) == _whole(text.partition(stop)[0])
        if not same or (sample.finish == "stop") != (stop in text):
            raise Failed(f"with the stop string {stop!r}, {text!r} ended by {sample.finish} with {sample.text!r}")
    if not any(sample.finish == "stop" for sample in ended):
        raise Failed(f"no sample ended at {stop!r}, which all samples without it have most often")
    rows = [(prompt, sample) for prompt, pair in zip(prompts, samples, strict=True) for sample in pair]
    difference = _logprob_difference(rig, rows)
    rig.figures["logprob_difference"] = difference
    if not difference < _LOGPROB:
        raise Failed(f"log-probabilities differ by {difference:.3f} in the mean, more than {_LOGPROB}")
    return f"log-probabilities differ by {difference:.4f} in the mean"


def _common(texts: Iterable[str]) -> str:
    """The most frequent character, to stop at; parts of broken ones and spaces do not count."""
    counts = Counter(character for text in texts for character in text if character.isprintable())
    return max(counts, key=lambda character: (character not in " \ufffd", counts[character]))


def _whole(text: str) -> str:
    """A text without parts of broken characters, which vLLM leaves out."""
    return text.replace("\ufffd", "")


def _logprob_difference(rig: Rig, rows: list[tuple[tuple[int, ...], Any]]) -> float:
    """Mean difference to the log-probabilities of transformers in single precision, one sequence at a time."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(rig.thin, dtype=torch.float32, attn_implementation="eager")
    model.to(rig.device)  # pyright: ignore[reportArgumentType]
    total, count = 0.0, 0
    with torch.inference_mode():
        for prompt, sample in rows:
            ids = torch.tensor([[*prompt, *sample.ids]], device=rig.device)
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
            found = logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0]
            given = torch.tensor(sample.logprobs, device=rig.device)
            total += (found - given).abs().sum().item()
            count += len(given)
    return total / count


def _grpo_fields(rig: Rig) -> dict[str, Any]:
    return {
        "model": "model",
        "problems": "problems",
        "steps": 3,
        "prompts_per_step": 4,
        "group_size": 8,
        "max_new_tokens": 24,
        "learning_rate": 1e-3,
        "precision": "bf16",
        "micro_batch_size": 16,
    }


def _learning(rig: Rig, events: Recorder) -> str:
    """A summary of the curves. Raises `Failed` without rewards, gradients or with a loss that is not finite."""
    rewards = [point["reward"] for point in events.points]
    norms = [point["grad_norm"] for point in events.points]
    rig.figures |= {"reward": sum(rewards) / len(rewards), "gradient": max(norms)}
    rig.figures |= {name: value for name, value in events.points[-1].items() if name.startswith("sampling/")}
    if not all(math.isfinite(point["loss"]) for point in events.points) or not 0 < max(norms) < math.inf:
        raise Failed(f"losses or gradient norms are not finite, or all 0: {events.points}")
    if not 0 < max(rewards) <= 1:
        raise Failed("no response was rewarded")
    return f"mean reward {sum(rewards) / len(rewards):.2f}, gradient norm up to {max(norms):.3g}"


def _different(served: dict[str, Any], model: Any) -> str:
    """The first of vLLM's weights that is not the model's, in vLLM's type; vLLM joins some of them."""
    import torch

    ours = dict(model.named_parameters())
    parts = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
    for name, weight in served.items():
        joined = next((key for key in parts if key in name), "")
        names = [name.replace(joined, part) for part in parts[joined]] if joined else [name]
        expected = torch.cat([ours[part].detach() for part in names])
        if not torch.equal(weight.detach()[: len(expected)], expected.to(weight.dtype)):
            return name
    return ""
