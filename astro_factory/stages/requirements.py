"""Predicted needs of the stages that train and generate, and the changes that lower them."""

import math
from collections.abc import Iterator

from astro_factory.core.machines import GB, Machine
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.requirements import Changes, Requirements
from astro_factory.core.workload import Workload
from astro_factory.engines.config import EngineSettings, TransformersConfig, VllmConfig
from astro_factory.engines.memory import Serving, cache_tokens, sampling_memory, serving_memory
from astro_factory.training.memory import (
    TrainingStep,
    adapter_parameters,
    offloaded_memory,
    saving_memory,
    training_memory,
)
from astro_factory.training.rollout_settings import EngineRollouts, VLLMRollouts
from astro_factory.training.settings import GRPOSettings, SFTSettings, TrainingConfig

_RUNTIME = 1.5 * GB
"""CUDA's context, communication buffers and gaps between allocations, on each GPU."""
_PROCESS = 4 * GB
"""Main memory of a process with torch and CUDA."""
_CPU_PROCESS = 0.6 * GB
"""The same without CUDA, and without files that are mapped: `benchmarks/adapter_memory.py` measures it."""
_PROMPT = 512
"""Tokens of a prompt."""
_LENGTH = 2048
"""Tokens of a dialogue where `max_length` is not set."""
_EFFICIENCY = {"train": 0.4, "vllm": 0.5, "transformers": 0.1}
"""Shares of a GPU's peak speed or bandwidth that are reached, roughly."""
_SERVER_SHARE = 0.9
"""Share of a GPU's memory that a vLLM server of its own takes by default, roughly."""
_TREE_BYTES = 12
"""Bytes that a tree keeps for a sampled token: id, log-probability, text."""
_CHECKPOINTS = 3
"""Two are kept, and one more while it is written."""


def training_needs(
    config: SFTSettings | GRPOSettings, shape: ModelShape, workload: Workload, machine: Machine
) -> Requirements:
    """What a training stage needs."""
    step = training_step(config, shape, machine)
    parts = training_memory(shape, step) | {"runtime": _RUNTIME}
    notes: tuple[str, ...] = ()
    if isinstance(config, GRPOSettings):
        parts, notes = _with_rollouts(config, shape, step, parts, machine)
    gpus = config.launch.gpus_per_node * config.launch.nodes if machine.gpus else 0
    here = config.launch.processes_per_node
    deepspeed = config.launch.deepspeed
    whole = 4 * shape.parameters  # to load it, or to merge an adapter, in single precision
    loading = 5 * GB if deepspeed and deepspeed.zero_stage == 3 else whole
    merges = config.adapter is not None and config.save == "merged"
    loaded_or_saved = max(here * loading, saving_memory(shape, step, merges))
    host = here * (_PROCESS + offloaded_memory(shape, step)) + loaded_or_saved
    if not gpus:
        host = here * (sum(parts.values()) - parts["runtime"] + _CPU_PROCESS)
    saved = 16 if step.sharded_bf16 else 12
    trained = adapter_parameters(shape, step) or shape.parameters
    whole = config.save == "merged"
    disk = trained * _CHECKPOINTS * saved + (shape.parameters * shape.weight_bytes if whole else 4 * trained)
    seconds = _training_seconds(config, shape, workload, machine) if gpus else None
    return Requirements(gpus, parts if gpus else {}, host, disk, seconds, notes)


def training_step(config: SFTSettings | GRPOSettings, shape: ModelShape, machine: Machine) -> TrainingStep:
    """The largest forward pass of a training stage."""
    processes, sharding = config.launch.processes, config.launch.deepspeed
    attention = config.attention if config.attention != "auto" else "sdpa" if machine.gpus else "eager"
    if isinstance(config, GRPOSettings):
        samples = config.prompts_per_step * config.group_size // processes
        rows = min(config.micro_batch_size, samples)
        length = config.max_new_tokens + _PROMPT
        tokens, passes = rows * length, math.ceil(samples / rows)
    else:
        length = config.max_length or min(shape.context, _LENGTH)
        passes = config.micro_batches
        rows = math.ceil(config.batch_size / processes / passes)
        tokens = rows * length
        if config.batch_tokens:
            tokens = math.ceil(config.batch_tokens / processes / passes)
    return TrainingStep(
        tokens=tokens,
        bf16=config.precision == "bf16",
        processes=processes,
        zero_stage=sharding.zero_stage if sharding else 3 if config.launch.fsdp else 0,
        offload_optimizer=bool(sharding and sharding.offload_optimizer),
        checkpointing=config.gradient_checkpointing,
        accumulates=passes > 1,
        fused_head=machine.gpus > 0,
        one_moment=config.optimizer == "muon",
        reference=isinstance(config, GRPOSettings) and config.beta > 0,
        adapter_rank=config.adapter.rank if config.adapter else 0,
        adapter_modules=_modules(config),
        four_bits=config.quantize is not None,
        eight_bit_moments=config.optimizer == "adamw_8bit",
        scores_width=length if attention == "eager" else 0,
    )


def _modules(config: TrainingConfig) -> tuple[str, ...] | None:
    modules = config.adapter.target_modules if config.adapter else "all-linear"
    return None if modules == "all-linear" else modules


def _with_rollouts(
    config: GRPOSettings, shape: ModelShape, step: TrainingStep, parts: dict[str, float], machine: Machine
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The memory with that of sampling, which runs between optimizer steps, and how full the engine's cache gets."""
    rollouts, samples = config.rollouts, config.prompts_per_step * config.group_size // step.processes
    length = config.max_new_tokens + _PROMPT
    passing = parts["activations"] + parts["loss"]
    if isinstance(rollouts, EngineRollouts):
        sampled = sum(sampling_memory(shape, min(rollouts.batch_size, samples), length, 0).values())
        return parts | {"rollouts": max(0.0, sampled - passing)}, ()
    if rollouts.mode == "server" or not machine.gpus:
        return parts, ()
    serving = Serving(rollouts.gpu_memory_utilization, rollouts.tensor_parallel_size)
    share = rollouts.gpu_memory_utilization * machine.gpu_gb * GB
    taken = max(0.0, share - passing) if rollouts.sleep else share
    cache = serving_memory(shape, serving, machine.gpu_gb)["key-value cache"]
    tokens, wanted = cache_tokens(shape, serving, cache), samples * rollouts.tensor_parallel_size * length
    if tokens < length:
        missing = (length * shape.kv_bytes / rollouts.tensor_parallel_size) - cache
        return parts | {"rollouts": taken + machine.gpu_gb * GB + missing}, (_starved(rollouts, tokens, length),)
    note = (
        f"the KV cache of each engine holds {tokens:,} tokens, {min(1.0, tokens / wanted):.0%} of what a round can fill"
    )
    return parts | {"rollouts": taken}, (note,)


def _starved(rollouts: VLLMRollouts, tokens: int, length: int) -> str:
    share = rollouts.gpu_memory_utilization
    return (
        f"a gpu_memory_utilization of {share:g} leaves a KV cache of {tokens:,} tokens; one response needs {length:,}"
    )


def _training_seconds(
    config: SFTSettings | GRPOSettings, shape: ModelShape, workload: Workload, machine: Machine
) -> float | None:
    if machine.tflops is None:
        return None
    if isinstance(config, GRPOSettings):
        tokens = config.steps * config.prompts_per_step * config.group_size * (config.max_new_tokens + _PROMPT)
        trained, length = tokens * config.num_iterations, config.max_new_tokens + _PROMPT
    else:
        length = config.max_length or min(shape.context, _LENGTH)
        if workload.units is None:
            return None
        trained = workload.units if workload.unit == "trained tokens" else workload.units * length
        tokens = 0
    work = trained * (shape.parameters + shape.layers * shape.queries * length)
    # forward 2, backward 2 through the layers and 2 to the weights, which an adapter leaves out; 2 more to recompute
    work *= 4 + (0 if config.adapter else 2) + (2 if config.gradient_checkpointing else 0)
    speed = machine.tflops * 1e12 * _EFFICIENCY["train"] / (1 if config.precision == "bf16" else 2)
    seconds = work / (speed * config.launch.processes)
    if isinstance(config, GRPOSettings) and tokens:
        rollouts, engines, serving = config.rollouts, float(config.launch.processes), Serving(0.3, 1, 1024)
        if isinstance(rollouts, VLLMRollouts):
            share, tp = rollouts.gpu_memory_utilization, rollouts.tensor_parallel_size
            serving = Serving(_SERVER_SHARE if config.served else share, tp, 1024)
            engines = 1.0 if config.served else engines / tp
        kind = "vllm" if isinstance(rollouts, VLLMRollouts) else "transformers"
        rate = tokens_per_s(shape, serving, length, machine, kind)
        sampling = tokens / (rate * engines) if rate else 0.0
        seconds = max(seconds, sampling) if config.off_policy_steps and config.served else seconds + sampling
    return seconds


def lighter_training(config: SFTSettings | GRPOSettings, machine: Machine) -> Iterator[Changes]:
    """Changes that lower the memory of a training stage, those with the least effect on speed first."""
    changes: dict[str, object] = {}
    if not config.gradient_checkpointing:
        changes["gradient_checkpointing"] = True
        yield {"gradient_checkpointing": True}
    yield from _smaller_passes(config, changes)
    rollouts = getattr(config, "rollouts", None)
    if isinstance(rollouts, VLLMRollouts) and rollouts.mode == "colocate":
        changes["rollouts.sleep"] = True
        yield dict(changes)
        for share in (0.6, 0.5, 0.4, 0.3):
            yield changes | {"rollouts.gpu_memory_utilization": share}
        changes["rollouts.gpu_memory_utilization"] = 0.5
    if config.launch.fsdp:  # it shards as much as ZeRO-3, which can also offload
        changes["launch.fsdp"] = None
    stage = 3 if config.launch.fsdp else config.launch.deepspeed.zero_stage if config.launch.deepspeed else 0
    available = machine.all_gpus or config.launch.processes
    for processes in sorted({config.launch.processes, available}):
        changes["launch.processes"] = processes
        if machine.gpus and processes > machine.gpus * config.launch.nodes:
            changes["launch.nodes"] = machine.nodes
        for zero in range(max(stage, 2), 4):
            changes["launch.deepspeed.zero_stage"] = zero
            yield {k: v for k, v in changes.items() if k != "launch.processes" or v != config.launch.processes}
    changes["launch.deepspeed.offload_optimizer"] = True
    yield dict(changes)


def _smaller_passes(config: TrainingConfig, changes: dict[str, object]) -> Iterator[Changes]:
    """More and smaller forward passes, alone and with the changes so far, which then include the smallest passes."""
    name, values = "micro_batches", [2, 4, 8, 16, 32, 64]
    if isinstance(config, GRPOSettings):
        name, values = "micro_batch_size", [16, 8, 4, 2, 1]
        values = [value for value in values if value < config.micro_batch_size]
    elif isinstance(config, SFTSettings):
        each = config.batch_size // config.launch.processes
        values = [value for value in values if config.micro_batches < value <= each]
    for value in values:
        yield {name: value}
    for value in values:
        yield changes | {name: value}
    if values:
        changes[name] = values[-1]


def engine_needs(
    engine: EngineSettings, processes: int, tokens: int, shape: ModelShape, workload: Workload, machine: Machine
) -> Requirements:
    """What a stage needs that samples with engines; `tokens`: of its longest sample."""
    gpus = processes * engine.gpus() if machine.gpus else 0
    here = math.ceil(processes / machine.nodes)
    disk = None if workload.tokens is None else workload.tokens * _TREE_BYTES
    seconds: float | None = None
    length = min(engine.context_length() or shape.context, tokens + _PROMPT)
    if isinstance(engine, VllmConfig):
        serving = Serving(
            engine.gpu_memory_utilization,
            engine.tensor_parallel_size,
            engine.max_num_seqs,
            _weight_bytes(engine.dtype, shape, str(engine.options.get("quantization", ""))),
            1 if str(engine.options.get("kv_cache_dtype", "")).startswith("fp8") else 2,
        )
        notes, parts = _served(engine, serving, shape, machine) if gpus else ((), {})
        rate = tokens_per_s(shape, serving, length, machine, "vllm") if gpus else None
        seconds = workload.tokens / (rate * processes) if rate and workload.tokens else None
        return Requirements(gpus, parts, here * (2 * _PROCESS if gpus else 0) or None, disk, seconds, notes)
    if isinstance(engine, TransformersConfig):
        width = _weight_bytes(engine.dtype, shape, "")
        parts = sampling_memory(shape, engine.batch_size, length, width) | {"runtime": _RUNTIME}
        rate = (
            tokens_per_s(shape, Serving(0.9, 1, engine.batch_size), length, machine, "transformers") if gpus else None
        )
        seconds = workload.tokens / (rate * processes) if rate and workload.tokens else None
        host = here * (_PROCESS + width * shape.parameters) if gpus else here * (sum(parts.values()) - _RUNTIME + GB)
        return Requirements(gpus, parts if gpus else {}, host, disk, seconds)
    return Requirements(gpus, {}, None, disk, None)


def _served(
    engine: VllmConfig, serving: Serving, shape: ModelShape, machine: Machine
) -> tuple[tuple[str, ...], dict[str, float]]:
    """The memory of a vLLM engine: its share or, if the model does not fit into it, what it would have to be."""
    parts = serving_memory(shape, serving, machine.gpu_gb)
    tokens = cache_tokens(shape, serving, parts["key-value cache"])
    longest = engine.max_model_len or shape.context
    if tokens >= longest:
        return (f"the KV cache of each engine holds {tokens:,} tokens",), parts | {"runtime": _RUNTIME / 2}
    each = shape.kv_bytes * serving.cache_bytes / 2 / serving.tensor_parallel
    parts["key-value cache"] = longest * each
    parts["outside the share"] = (1 - engine.gpu_memory_utilization) * machine.gpu_gb * GB
    share = engine.gpu_memory_utilization
    return (f"{share:g} of the GPU leaves a KV cache of {tokens:,} tokens; max_model_len needs {longest:,}",), parts


def lighter_engine(engine: EngineSettings, processes: int, machine: Machine) -> Iterator[Changes]:
    """Changes that lower the memory of a stage that samples."""
    if isinstance(engine, TransformersConfig):
        yield from ({"engine.batch_size": size} for size in (128, 64, 32, 16, 8, 4) if size < engine.batch_size)
    if not isinstance(engine, VllmConfig):
        return
    if engine.tensor_parallel_size > machine.all_gpus:
        yield from ({"engine.tensor_parallel_size": size} for size in (8, 4, 2, 1) if size <= machine.all_gpus)
    if engine.gpu_memory_utilization < 0.9:
        yield {"engine.gpu_memory_utilization": 0.9}
    for length in (32768, 16384, 8192, 4096):
        if length < (engine.max_model_len or 10**9):
            yield {"engine.max_model_len": length}
    for size in (2, 4, 8):
        if engine.tensor_parallel_size < size <= max(1, machine.gpus):
            fewer = max(1, min(processes, machine.all_gpus // size))
            yield {"engine.tensor_parallel_size": size} | ({"processes": fewer} if fewer != processes else {})


def _weight_bytes(dtype: str, shape: ModelShape, quantization: str) -> int:
    if quantization:
        return 1
    return shape.weight_bytes if dtype == "auto" else 4 if dtype == "float32" else 2


def tokens_per_s(shape: ModelShape, serving: Serving, length: int, machine: Machine, kind: str) -> float | None:
    """Sampled tokens a second of one engine: a step reads all weights and the cache of its samples, and multiplies.

    None if the model of the GPU is not known.
    """
    if machine.tflops is None or machine.gb_per_s is None:
        return None
    cache = serving_memory(shape, serving, machine.gpu_gb)["key-value cache"]
    held = cache_tokens(shape, serving, cache)
    batch = max(1.0, min(serving.samples, held / max(1, length / 2)))
    read = serving.weight_bytes * shape.parameters + batch * shape.kv_bytes * length / 2
    reading = read / (machine.gb_per_s * 1e9 * serving.tensor_parallel)
    computing = 2 * shape.parameters * batch / (machine.tflops * 1e12 * serving.tensor_parallel)
    return _EFFICIENCY[kind] * batch / max(reading, computing)
