"""Checks of training: the numbers of a step, sharding, interruption, speed, memory and saving."""

import math
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from astro_factory.core.context import StageContext
from astro_factory.gpu_check.devices import matrix_flops
from astro_factory.gpu_check.rig import MICRO_BATCHES, Failed, Recorder, Rig, Skip

_LOSS = {"fp32": 1e-3, "bf16": 1e-2}
"""Relative tolerance of losses and gradient norms."""
_MEMORY = 0.1
"""Relative tolerance of the predicted memory."""
_SAVED_STEP = 2
"""Of the four steps of sharded training, the one with a checkpoint from which it resumes."""
_SPEED = 0.15
"""Share of the chip's matrix products that a training step must reach."""


def check_loss(rig: Rig) -> str:
    """Loss and gradient norm of a step are those of plain transformers in single precision on the CPU."""
    expected = _reference(rig)
    for precision, tolerance in _LOSS.items():
        point = rig.train(f"loss-{precision}", precision=precision, max_steps=1, micro_batches=2)[1].points[0]
        rig.compare(f"{precision}_loss", point["loss"], expected[0], tolerance)
        rig.compare(f"{precision}_gradient", point["grad_norm"], expected[1], 2 * tolerance)
    return f"loss {expected[0]:.4f}, gradient norm {expected[1]:.4f}"


def check_zero3(rig: Rig) -> str:
    """ZeRO-3 has the losses, the gradient norms and the weight decay of plain training, and resumes."""
    from importlib.util import find_spec

    if not find_spec("deepspeed"):
        raise Skip("DeepSpeed is not installed")
    return _check_sharding(rig, "zero3", {"deepspeed": {"zero_stage": 3}})


def check_fsdp(rig: Rig) -> str:
    """FSDP2 has the losses, the gradient norms and the weight decay of plain training, and resumes."""
    if len(rig.visible) < 2:
        raise Skip("FSDP needs two GPUs")
    return _check_sharding(rig, "fsdp", {"fsdp": {}})


def _check_sharding(rig: Rig, name: str, sharding: dict[str, Any]) -> str:
    processes = max(1, len(rig.visible))
    settings = {"max_steps": 4, "weight_decay": 10.0, "learning_rate": 1e-3, "micro_batches": 2, "batch_size": 8}
    settings |= {"precision": "fp32", "save_every": _SAVED_STEP}
    plain, curves = rig.train(f"{name}-plain", **settings)
    with rig.environment(**rig.all_gpus):
        settings |= {"micro_batches": max(1, 2 // processes), "launch": {"processes": processes, **sharding}}
        sharded, others = rig.train(name, **settings)
        resumed = _check_resume(rig, name, sharded, others, settings)
    for one, other in zip(curves.points, others.points, strict=True):
        rig.compare("loss", other["loss"], one["loss"], _LOSS["fp32"])
        rig.compare("gradient", other["grad_norm"], one["grad_norm"], _LOSS["fp32"])
    before = _matrix_norm(rig.thin)
    shrunk = 1 - _matrix_norm(plain.out) / before
    rig.figures["decay"] = shrunk
    rig.compare("decay", 1 - _matrix_norm(sharded.out) / before, shrunk, 0.05)
    return f"{processes} processes; matrices shrink by {shrunk:.2%}; resumed: {resumed}"


def _check_resume(rig: Rig, name: str, whole: StageContext, curves: Recorder, settings: dict[str, Any]) -> str:
    """What continues from a checkpoint of the training `name` ends as that one did."""
    checkpoint = f"checkpoints/checkpoint-{_SAVED_STEP}"
    shutil.copytree(whole.scratch / checkpoint, rig.context(f"{name}-resumed").scratch / checkpoint)
    resumed, rest = rig.train(f"{name}-resumed", **settings)
    _compare_rest(rig, curves, rest, _SAVED_STEP)
    return _same_weights(rig, whole, resumed)


def check_sigterm(rig: Rig) -> str:
    """SIGTERM in the middle of training leaves a checkpoint, from which training continues as if uninterrupted."""
    from astro_factory.training.failures import Interrupted

    settings = {"max_steps": 4, "learning_rate": 1e-4, "precision": "bf16"}
    whole, curves = rig.train("sigterm-whole", **settings)

    def interrupt(step: int) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        rig.train("sigterm", interrupt, **settings)
    except Interrupted:
        second, rest = rig.train("sigterm", **settings)
    else:
        raise Failed("SIGTERM did not stop the training")
    _compare_rest(rig, curves, rest, 2)
    return _same_weights(rig, whole, second)


def _compare_rest(rig: Rig, whole: Recorder, rest: Recorder, saved: int) -> None:
    """A training that continues after the step `saved` has the losses of the whole one."""
    found, expected = ([step for step, _ in events.steps] for events in (rest, whole))
    if found != expected[saved:]:
        raise Failed(f"training continued with steps {found} instead of {expected[saved:]}")
    for one, other in zip(whole.points[saved:], rest.points, strict=True):
        rig.compare("resumed_loss", other["loss"], one["loss"], 1e-4)


def _same_weights(rig: Rig, whole: StageContext, resumed: StageContext) -> str:
    """How equal the models are of a training without and with interruption: on a CPU, in every bit."""
    equal = _equal_files(whole.out, resumed.out)
    if rig.device == "cpu" and not equal:
        raise Failed("the weights differ from those of training without interruption")
    return "equal bytes" if equal else "equal losses; the last bits differ, as kernels of GPUs do not fix the order"


def check_speed(rig: Rig) -> str:
    """Training of the whole model reaches a fair share of the chip's matrix products."""
    events, tokens = rig.whole[1], rig.size.sequences * rig.size.length
    times = [seconds for _, seconds in events.steps]
    step = (times[-1] - times[1]) / (len(times) - 2)
    limit = matrix_flops(rig.device, 256 if rig.dry_run else 8192)
    share = 6 * _parameters(rig.model) * tokens / step / limit
    rig.figures |= {"tokens_per_second": tokens / step, "matrix_tflops": limit / 1e12, "share_of_limit": share}
    if rig.device == "cuda" and share < _SPEED:
        raise Failed(f"training reaches {share:.0%} of the chip's {limit / 1e12:.0f} TFLOP/s")
    return f"{tokens / step:,.0f} tokens/s, {share:.0%} of {limit / 1e12:.3g} TFLOP/s"


def check_memory(rig: Rig) -> str:
    """The memory of training the whole model is what `plan` predicts for it."""
    from astro_factory.core.model_shapes import read_shape_file
    from astro_factory.training.memory import TrainingStep, training_memory

    shape = read_shape_file(rig.model / "config.json")
    assert shape is not None
    sequences = rig.size.sequences // MICRO_BATCHES
    step = TrainingStep(sequences * rig.size.length, sequences, checkpointing=True, accumulates=True)
    predicted = sum(training_memory(shape, step).values()) / 1e9
    rig.figures["predicted_gb"] = predicted
    if rig.device == "cpu":
        raise Skip("only GPUs count the memory that is allocated")
    _ = rig.whole
    rig.figures["measured_gb"] = rig.whole_peak_gb
    rig.compare("memory", rig.whole_peak_gb, predicted, _MEMORY)
    return f"{rig.whole_peak_gb:.1f} GB, {predicted:.1f} GB predicted"


def check_save(rig: Rig) -> str:
    """The trained model is saved in time, and what is loaded again is finite and has changed."""
    ctx, events = rig.whole
    seconds = events.phases["end"] - events.phases["save"]
    rig.figures["save_s"] = seconds
    old, new = _matrix_norm(rig.model), _matrix_norm(ctx.out)
    if not math.isfinite(new) or new == old:
        raise Failed("the saved weights are those of the start, or not finite")
    if seconds > 120:
        raise Failed(f"saving took {seconds:.0f} s")
    return f"{seconds:.1f} s for {_parameters(rig.model) / 1e9:.2f} billion parameters"


def _reference(rig: Rig) -> tuple[float, float]:
    """Loss and gradient norm of all dialogues, one at a time, without padding."""
    import torch
    from transformers import AutoModelForCausalLM

    from astro_factory.training.corpus import load_corpus
    from astro_factory.training.weights import load_tokenizer

    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    model = AutoModelForCausalLM.from_pretrained(rig.thin, dtype=torch.float32, attn_implementation="eager")
    corpus = load_corpus(rig.short_dialogues, load_tokenizer(rig.thin), 1 << 20)
    total, count = 0.0, int(corpus.mask.sum())
    for index in range(len(corpus)):
        found = corpus.encoded(index)
        ids, response = torch.tensor(found.ids), torch.tensor(found.response_mask[1:], dtype=torch.bool)
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits[response], ids[1:][response], reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = torch.stack([weight.grad.norm() for weight in model.parameters() if weight.grad is not None]).norm().item()
    torch.set_num_threads(threads)
    return total, norm


def _tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            for name in sorted(weights.keys()):
                yield name, weights.get_tensor(name)


def _matrix_norm(folder: Path) -> float:
    """The norm of all matrices, which weight decay shrinks."""
    return math.sqrt(sum(tensor.double().square().sum().item() for _, tensor in _tensors(folder) if tensor.ndim > 1))


def _parameters(folder: Path) -> int:
    return sum(tensor.numel() for _, tensor in _tensors(folder))


def _equal_files(one: Path, other: Path) -> bool:
    return all((other / file.name).read_bytes() == file.read_bytes() for file in one.glob("*.safetensors"))
