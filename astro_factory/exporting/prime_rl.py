"""Exports to prime-rl: dialogues with their token ids or a taskset of `verifiers`, and the TOML config."""

from collections.abc import Iterator, Mapping
from typing import Any

from astro_factory.core.problems import problem_schema
from astro_factory.exporting.common import (
    LINEAR_LAYERS,
    divided,
    explain_decay,
    explain_length_cost,
    explain_machine,
    explain_rounds,
    explain_steps,
    explain_unjudged,
    explain_warm_up,
)
from astro_factory.exporting.dialogues import Dialogues, read_dialogues
from astro_factory.exporting.folder import ExportFolder
from astro_factory.exporting.prompts import longest_prompt, read_problems, write_judge
from astro_factory.exporting.toml import toml
from astro_factory.exporting.translation import Translation
from astro_factory.training.settings import GRPOSettings, LoraAdapter, TrainingConfig, VLLMRollouts

VERSION = "the field names of prime-rl at commit 559b44772e47"
_OFF = "None"
"""How prime-rl's TOML turns off a part that is on by default."""
_ACTIVATIONS = {True: {"mode": "full"}, False: _OFF}


def export_sft(export: ExportFolder) -> None:
    """Dialogues whose last message carries the stage's token ids, and the renderer that reads them."""
    settings, translation = export.source.sft, export.translation
    data = read_dialogues(export.source)
    export.file("data").mkdir()
    export.table("data/train.parquet", _token_rows(data), _token_schema())
    export.asset("prime_renderer.py")
    export.versions = VERSION
    steps, length = len(data.steps), settings.max_length or data.longest
    batch = _packed(data, length, settings.launch.processes)
    translation.put("max_steps", steps, "max_steps", "epochs")
    translation.put("matmul_precision", "highest" if settings.precision == "fp32" else "high", "precision")
    translation.put("model.name", export.source.model.path, "model")
    translation.put("model.seq_len", length)
    _put_model(export, "model", settings)
    translation.put("renderer.name", "custom")
    translation.put("renderer.import_path", "prime_renderer.py:TokenRenderer", "loss")
    translation.put("data.type", "sft")
    translation.put("data.name", "data", "data")
    translation.put("data.seq_len", length, "max_length")
    translation.put("data.batch_size", batch, "batch_size")
    translation.put("data.micro_batch_size", 1)
    translation.put("data.seed", settings.seed, "seed")
    explain_steps(translation, data, steps, settings.batch_size)
    text = f"a step has {batch} rows of {length} tokens, packed with dialogues: about as many tokens as the stage's"
    translation.differs("batch_tokens" if settings.batch_tokens else "batch_size", text)
    text = "a step is divided into rows of the batch"
    translation.differs("micro_batches", text, when=settings.micro_batches > 1)
    if data.fractional:
        text = "prime-rl has no loss weights: tokens with a weight above 0 count in full, those with 0 not at all"
        translation.differs("loss weights", text)
    _put_optimizer(translation, "", settings, steps)
    _put_checkpoints(translation, settings)
    if settings.launch.nodes > 1:
        _put_nodes(export, settings, settings.launch.nodes)
    else:
        _put_one_node(translation, {"num_train_gpus": settings.launch.processes})
    _finish(export, "sft.toml", "sft")


def export_grpo(export: ExportFolder) -> None:
    """The problems as a taskset, and the config of trainer, orchestrator and inference."""
    settings, translation = export.source.grpo, export.translation
    problems = read_problems(export.source)
    export.table("problems.parquet", (problem.as_row() for problem in problems), problem_schema())
    export.asset("astro_taskset.py")
    write_judge(export, problems)
    export.versions = VERSION
    length = longest_prompt(export.source, problems) + settings.max_new_tokens
    translation.put("max_steps", settings.steps, "steps")
    translation.put("seq_len", length)
    translation.put("model.name", export.source.model.path, "model")
    _put_orchestrator(export, settings)
    translation.put("trainer.matmul_precision", "highest" if settings.precision == "fp32" else "high", "precision")
    _put_model(export, "trainer.model", settings)
    _put_optimizer(translation, "trainer.", settings, settings.steps)
    _put_objective(translation, settings)
    _put_rollouts(export, settings, length)
    _put_checkpoints(translation, settings)
    _put_gpus(export, settings)
    _finish(export, "rl.toml", "rl")


KINDS = {"sft": export_sft, "grpo": export_grpo}


def _finish(export: ExportFolder, name: str, program: str) -> None:
    explain_machine(export.translation, export.source.settings, "prime-rl")
    export.translation.done("log_every")
    export.text(name, toml(export.translation.config))
    export.commands.append(f"PYTHONPATH=$PWD uv run --project PRIME_RL {program} @ {name}")
    export.notes.append("`PRIME_RL` is your checkout of prime-rl.")


def _packed(data: Dialogues, length: int, processes: int) -> int:
    """Rows of `length` tokens that hold an average step, at least one for each process."""
    rows, _ = divided(max(1, round(data.step_tokens / length)), processes, 1)
    return rows * processes


def _token_rows(data: Dialogues) -> Iterator[dict[str, Any]]:
    for messages, (ids, weights) in zip(data.messages, data.weights(), strict=True):
        *earlier, last = messages
        tokens: Mapping[str, Any] = {"token_ids": ids, "loss_mask": (weights > 0).tolist()}
        yield {"messages": [*earlier, {**last, **tokens}]}


def _token_schema() -> Any:
    import pyarrow as pa

    from astro_factory.core.dialogues import message_type

    tokens = [pa.field("token_ids", pa.list_(pa.int32())), pa.field("loss_mask", pa.list_(pa.bool_()))]
    return pa.schema([("messages", pa.list_(pa.struct([*message_type(), *tokens])))])


def _put_model(export: ExportFolder, key: str, settings: TrainingConfig) -> None:
    translation, model = export.translation, export.source.model
    if model.revision:
        export.notes.append(
            f"prime-rl loads the newest revision of {model.path}; the stage uses {model.revision}. To pin it, download "
            "that revision and set `model.name` to the folder."
        )
    text = "prime-rl computes in bf16 over weights in single precision"
    translation.differs("precision", text, when=settings.precision != "bf16")
    translation.put(f"{key}.optimization_dtype", "float32")
    translation.put(f"{key}.ac", _ACTIVATIONS[settings.gradient_checkpointing], "gradient_checkpointing")
    translation.put(f"{key}.ac_offloading", _OFF)
    if settings.attention == "flash_attention_2":
        translation.put(f"{key}.attn", settings.attention, "attention")
    translation.differs("attention", "FlashAttention only", when=settings.attention in ("eager", "sdpa"))
    if settings.adapter:
        _put_adapter(export, key, settings.adapter)
    text = "the frozen weights are not quantized: they take the memory of `precision`"
    translation.differs("quantize", text, when=settings.quantize is not None)
    translation.done("adapter")
    _put_sharding(translation, key, settings)


def _put_adapter(export: ExportFolder, key: str, adapter: LoraAdapter) -> None:
    translation = export.translation
    translation.put(f"{key}.lora.rank", adapter.rank, "adapter.rank")
    translation.put(f"{key}.lora.alpha", adapter.alpha, "adapter.alpha")
    modules = LINEAR_LAYERS if adapter.target_modules == "all-linear" else list(adapter.target_modules)
    translation.put(f"{key}.lora.target_modules", list(modules), "adapter.target_modules")
    text = "prime-rl starts a new adapter on the base; merge the earlier one first (`save: merged`)"
    translation.differs("model", text, when=bool(export.source.model.adapter))


def _put_sharding(translation: Translation, key: str, settings: TrainingConfig) -> None:
    """prime-rl shards with FSDP2 always; its optimizer states are in main memory by default."""
    launch = settings.launch
    offload = launch.deepspeed is not None and launch.deepspeed.offload_optimizer
    translation.put(f"{key}.optim_cpu_offload", offload)
    if launch.fsdp:
        translation.put(f"{key}.reshard_after_forward", launch.fsdp.reshard_after_forward, "launch.fsdp")
    text = "prime-rl shards with FSDP2 in place of DeepSpeed: weights, gradients and optimizer states"
    translation.differs("launch.deepspeed", text, when=launch.deepspeed is not None)
    translation.done("launch.fsdp")


def _put_optimizer(translation: Translation, prefix: str, settings: TrainingConfig, steps: int) -> None:
    key = f"{prefix}optim"
    translation.put(f"{key}.type", "muon" if settings.optimizer == "muon" else "adamw", "optimizer")
    text = "prime-rl's own Muon: its updates have another scale, so tune learning_rate"
    translation.differs("optimizer", text, when=settings.optimizer == "muon")
    text = "the moments of AdamW are in single precision"
    translation.differs("optimizer", text, when=settings.optimizer == "adamw_8bit")
    translation.put(f"{key}.lr", settings.learning_rate, "learning_rate")
    translation.put(f"{key}.weight_decay", settings.weight_decay, "weight_decay")
    explain_decay(translation, settings)
    translation.put(f"{key}.max_norm", settings.max_grad_norm or _OFF, "max_grad_norm")
    translation.put(f"{key}.betas1", settings.adam_betas[0], "adam_betas")
    translation.put(f"{key}.betas2", settings.adam_betas[1], "adam_betas")
    key, warm_up = f"{prefix}scheduler", min(settings.warmup_steps, max(0, steps - 1))
    lowest = settings.learning_rate * settings.min_learning_rate_ratio
    if settings.schedule == "constant":  # with a warm-up it is a linear one that does not decay
        translation.put(f"{key}.type", "linear" if warm_up else "constant", "schedule")
        if warm_up:
            translation.put(f"{key}.warmup_steps", warm_up, "warmup_steps")
            translation.put(f"{key}.decay_steps", 0)
        translation.done("min_learning_rate_ratio")
    else:
        translation.put(f"{key}.type", settings.schedule, "schedule")
        translation.put(f"{key}.warmup_steps", warm_up, "warmup_steps")
        translation.put(f"{key}.min_lr", lowest, "min_learning_rate_ratio")
        if settings.schedule == "linear":
            translation.put(f"{key}.decay_steps", steps - warm_up)
    explain_warm_up(translation, settings)


def _put_checkpoints(translation: Translation, settings: TrainingConfig) -> None:
    translation.put("ckpt.interval", settings.save_every, "save_every")
    translation.put("ckpt.keep_last", 2)


def _put_one_node(translation: Translation, gpus: Mapping[str, int]) -> None:
    translation.put("deployment.type", "single_node", "launch.nodes")
    for name, count in gpus.items():
        translation.put(f"deployment.{name}", count, "launch.processes")
    translation.put("deployment.gpus_per_node", sum(gpus.values()))


def _put_nodes(export: ExportFolder, settings: TrainingConfig, nodes: int) -> None:
    """So many nodes for training, under Slurm."""
    translation = export.translation
    translation.put("deployment.type", "multi_node", "launch.nodes")
    translation.put("deployment.num_train_nodes", nodes, "launch.nodes")
    translation.put("deployment.gpus_per_node", settings.launch.processes_per_node, "launch.processes")
    translation.put("slurm.job_name", f"{export.source.graph.name}-{export.source.stage}")
    export.notes.append("prime-rl runs on several nodes under Slurm only: set the partition under `[slurm]`.")


def _put_gpus(export: ExportFolder, settings: GRPOSettings) -> None:
    """The trainer and vLLM have GPUs of their own: half of the processes or of the nodes each."""
    translation, launch = export.translation, settings.launch
    unit, count = ("nodes", launch.nodes) if launch.nodes > 1 else ("processes", launch.processes)
    train = max(1, count // 2)
    sample = max(1, count - train)
    if launch.nodes > 1:
        _put_nodes(export, settings, train)
        translation.put("deployment.num_infer_nodes", sample)
        translation.put("inference.deployment.type", "multi_node")
        translation.put("inference.deployment.num_nodes", sample)
    else:
        _put_one_node(translation, {"num_train_gpus": train, "num_infer_gpus": sample})
    text = f"trainer and vLLM have GPUs of their own: {train} and {sample} {unit}"
    translation.differs(f"launch.{unit}", text)


def _put_orchestrator(export: ExportFolder, settings: GRPOSettings) -> None:
    translation, key = export.translation, "orchestrator"
    translation.put(f"{key}.batch_size", settings.prompts_per_step * settings.group_size, "prompts_per_step")
    translation.put(f"{key}.group_size", settings.group_size, "group_size")
    translation.put(f"{key}.max_off_policy_steps", 1, "off_policy_steps")
    text = "the next round is sampled while this one trains: responses are up to one step old"
    translation.differs("rollouts", text, when=not settings.off_policy_steps)
    translation.put(f"{key}.renderer.name", "default")
    translation.put(f"{key}.algo.type", "grpo")
    translation.put(f"{key}.train.sampling.temperature", settings.temperature, "temperature")
    translation.put(f"{key}.train.sampling.max_completion_tokens", settings.max_new_tokens, "max_new_tokens")
    taskset = {"id": "astro_taskset", "folder": str(export.folder)}
    agent = {"harness": {"id": "null"}, "runtime": {"type": "subprocess"}}
    sources = [{"name": export.source.stage, "env": {"taskset": taskset, "agent": agent}}]
    translation.put(f"{key}.train.source", sources, "problems", "reward")
    export.notes.append("If you move the folder, change `folder` under `[orchestrator.train.source.env.taskset]`.")


def _put_objective(translation: Translation, settings: GRPOSettings) -> None:
    translation.put("trainer.loss.type", "default")
    translation.put("trainer.loss.kl_tau", 0.0)
    loss = "prime-rl's own loss: a mean over all tokens that masks those whose probability has moved by more than 0.2"
    translation.differs("loss", loss)
    translation.differs("epsilon", "the bound is on the difference of probabilities, not on their ratio")
    translation.differs("epsilon_high", "see epsilon", when=settings.epsilon_high is not None)
    text = "there is no divergence from the initial model in the loss"
    translation.differs("beta", text, when=settings.beta > 0)
    text = "advantages are not divided by a standard deviation"
    translation.differs("scale_rewards", text, when=settings.scale_rewards != "none")
    translation.differs("num_iterations", "one step on each round", when=settings.num_iterations > 1)
    translation.differs("mask_truncated", "cut-off responses count in the loss", when=settings.mask_truncated)
    translation.differs("max_replacements", "groups without a signal are left out", when=settings.max_replacements > 0)
    explain_rounds(translation, settings)
    explain_length_cost(translation, settings)
    explain_unjudged(translation)
    translation.differs("micro_batch_size", "responses are packed into rows of seq_len tokens")


def _put_rollouts(export: ExportFolder, settings: GRPOSettings, length: int) -> None:
    translation, rollouts, key = export.translation, settings.rollouts, "inference.vllm"
    translation.put(f"{key}.max_model_len", length)
    translation.put(f"{key}.seed", settings.seed, "seed")
    if settings.adapter:
        translation.put("weight_broadcast.type", "filesystem")
    if isinstance(rollouts, VLLMRollouts):
        translation.put(f"{key}.tensor_parallel_size", rollouts.tensor_parallel_size, "rollouts.tensor_parallel_size")
    translation.done("rollouts")
