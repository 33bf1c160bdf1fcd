"""Exports to axolotl: a tokenized dataset or prompts with a reward function, and its YAML config."""

import math
from typing import Any
from urllib.parse import urlsplit

from astro_factory.exporting.common import (
    clipping,
    divided,
    explain_machine,
    explain_on_policy,
    explain_rounds,
    explain_steps,
    explain_warm_up,
)
from astro_factory.exporting.dialogues import IGNORED, Dialogues, read_dialogues
from astro_factory.exporting.folder import ExportFolder
from astro_factory.exporting.prompts import longest_prompt, read_problems, rows, write_judge
from astro_factory.exporting.translation import Translation
from astro_factory.training.rollout_schedule import micro_batch_count
from astro_factory.training.settings import GRPOSettings, LoraAdapter, TrainingConfig, VLLMRollouts

VERSION = "axolotl 0.19.0"
_CONFIG = "config.yaml"
_OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit", "muon": "muon"}
_ATTENTION = {"auto": "sdpa"}


def export_sft(export: ExportFolder) -> None:
    """The stage's token ids and labels, which axolotl trains on as they are."""
    settings, translation = export.source.sft, export.translation
    data = read_dialogues(export.source)
    _write_tokens(export, data)
    _put_common(export, settings)
    steps = len(data.steps)
    micro, parts = divided(data.batch_size, settings.launch.processes, settings.micro_batches)
    batch = micro * parts * settings.launch.processes
    translation.put("datasets", [{"path": "train.parquet", "ds_type": "parquet"}], "data", "loss")
    translation.put("dataset_prepared_path", "prepared")
    translation.put("sequence_len", settings.max_length or data.longest, "max_length")
    translation.put("sample_packing", False)
    translation.put("micro_batch_size", micro, "micro_batches")
    translation.put("gradient_accumulation_steps", parts, "batch_size")
    translation.put("num_epochs", math.ceil(steps * batch / len(data)), "epochs")
    translation.put("max_steps", steps, "max_steps")
    explain_steps(translation, data, steps, batch)
    if data.fractional:
        text = "axolotl has no loss weights: tokens with a weight above 0 count in full, those with 0 not at all"
        translation.differs("loss weights", text)
    export.text(_CONFIG, _yaml(translation))


def export_grpo(export: ExportFolder) -> None:
    """Prompts and a reward function for TRL's GRPO, which axolotl runs."""
    settings, translation = export.source.grpo, export.translation
    problems = read_problems(export.source)
    export.table("train.parquet", rows(problems), _prompt_schema())
    export.asset("axolotl_reward.py")
    write_judge(export, problems)
    _put_common(export, settings)
    _put_rounds(export, settings)
    _put_objective(translation, settings)
    _put_rollouts(export, settings)
    room = longest_prompt(export.source, problems)
    translation.put("sequence_len", room + settings.max_new_tokens)
    translation.put("datasets", [{"path": "train.parquet", "ds_type": "parquet"}], "problems")
    translation.put("dataset_prepared_path", "prepared")
    translation.put("trl.reward_funcs", ["axolotl_reward.reward"], "reward")
    text = "groups without a signal are not replaced"
    translation.differs("max_replacements", text, when=settings.max_replacements > 0)
    explain_rounds(translation, settings)
    explain_on_policy(translation, settings)
    export.text(_CONFIG, _yaml(translation))


KINDS = {"sft": export_sft, "grpo": export_grpo}


def _write_tokens(export: ExportFolder, data: Dialogues) -> None:
    import pyarrow as pa

    types = {"input_ids": pa.int32(), "attention_mask": pa.int8(), "labels": pa.int32()}
    schema = pa.schema([(name, pa.list_(type)) for name, type in types.items()])
    export.table(
        "train.parquet",
        (
            {
                "input_ids": ids,
                "attention_mask": [1] * len(ids),
                "labels": [i if weight else IGNORED for i, weight in zip(ids, weights.tolist(), strict=True)],
            }
            for ids, weights in data.weights()
        ),
        schema,
    )


def _prompt_schema() -> Any:
    import pyarrow as pa

    from astro_factory.core.dialogues import message_type
    from astro_factory.core.problems import problem_schema

    return pa.schema([("prompt", pa.list_(message_type())), ("problem", pa.struct(list(problem_schema())))])


def _put_common(export: ExportFolder, settings: TrainingConfig) -> None:
    """Model, optimizer, precision and machine."""
    translation, model = export.translation, export.source.model
    export.versions = VERSION
    translation.put("base_model", model.path, "model")
    if model.revision:
        translation.put("revision_of_model", model.revision)
    translation.put("output_dir", "output")
    translation.put("seed", settings.seed, "seed")
    translation.put("optimizer", _OPTIMIZERS[settings.optimizer], "optimizer")
    if settings.optimizer == "muon":
        translation.differs("optimizer", "axolotl's own Muon: its updates have another scale, so tune learning_rate")
    translation.put("learning_rate", settings.learning_rate, "learning_rate")
    translation.put("weight_decay", settings.weight_decay, "weight_decay")
    translation.put("adam_beta1", settings.adam_betas[0], "adam_betas")
    translation.put("adam_beta2", settings.adam_betas[1], "adam_betas")
    translation.put("max_grad_norm", clipping(settings), "max_grad_norm")
    _put_schedule(translation, settings)
    translation.put("bf16", settings.precision == "bf16", "precision")
    translation.put("tf32", settings.precision == "tf32", "precision")
    if settings.precision == "bf16" and settings.adapter is None:
        text = "axolotl keeps the optimized weights in bf16 too, so small updates round away"
        translation.differs("precision", text)
    attention = _ATTENTION.get(settings.attention, settings.attention)
    translation.put("attn_implementation", attention, "attention")
    translation.put("gradient_checkpointing", settings.gradient_checkpointing, "gradient_checkpointing")
    translation.put("logging_steps", settings.log_every, "log_every")
    translation.put("save_steps", settings.save_every, "save_every")
    translation.put("save_total_limit", 2)
    if settings.adapter:
        _put_adapter(export, settings, settings.adapter)
    translation.done("adapter", "quantize")
    _put_launch(export, settings)
    explain_machine(translation, settings, "axolotl")


def _put_schedule(translation: Translation, settings: TrainingConfig) -> None:
    constant = "constant_with_warmup" if settings.warmup_steps else "constant"
    name = constant if settings.schedule == "constant" else settings.schedule
    translation.put("lr_scheduler", name, "schedule")
    translation.put("warmup_steps", settings.warmup_steps, "warmup_steps")
    explain_warm_up(translation, settings)
    ratio = settings.min_learning_rate_ratio
    if settings.schedule == "cosine" and ratio:
        translation.put("cosine_min_lr_ratio", ratio, "min_learning_rate_ratio")
    text = "the linear schedule of axolotl ends at 0"
    translation.differs("min_learning_rate_ratio", text, when=settings.schedule == "linear" and ratio > 0)


def _put_adapter(export: ExportFolder, settings: TrainingConfig, adapter: LoraAdapter) -> None:
    translation = export.translation
    translation.put("adapter", "qlora" if settings.quantize else "lora", "adapter.kind", "quantize")
    if settings.quantize:
        translation.put("load_in_4bit", True, "quantize")
    translation.put("lora_r", adapter.rank, "adapter.rank")
    translation.put("lora_alpha", round(adapter.alpha), "adapter.alpha")
    text = f"axolotl takes whole numbers only: {round(adapter.alpha)}"
    translation.differs("adapter.alpha", text, when=adapter.alpha != round(adapter.alpha))
    translation.put("lora_dropout", 0.0)
    if adapter.target_modules == "all-linear":
        translation.put("lora_target_linear", True, "adapter.target_modules")
    else:
        translation.put("lora_target_modules", list(adapter.target_modules), "adapter.target_modules")
    if export.source.model.adapter:
        translation.put("lora_model_dir", export.source.model.adapter, "model")
    if settings.save == "merged":
        export.notes.append(f"To merge the adapter when training has ended: `axolotl merge-lora {_CONFIG}`.")


def _put_launch(export: ExportFolder, settings: TrainingConfig) -> None:
    """Processes are given on the command line, sharding in the config."""
    translation, launch = export.translation, settings.launch
    options = f"--launcher torchrun -- --nproc-per-node {launch.processes_per_node}"
    if launch.nodes > 1:
        options += f" --nnodes {launch.nodes} --rdzv-backend c10d --rdzv-endpoint HEAD:29400"
        export.notes.append("Start the last command on each node; `HEAD` is the host name of one of them.")
    export.commands += [f"axolotl preprocess {_CONFIG}", f"axolotl train {_CONFIG} {options}"]
    translation.done("launch.processes", "launch.nodes")
    if launch.deepspeed:
        zero: dict[str, Any] = {"stage": launch.deepspeed.zero_stage, "stage3_gather_16bit_weights_on_model_save": True}
        if launch.deepspeed.offload_optimizer:
            zero["offload_optimizer"] = {"device": "cpu"}
        translation.put(
            "deepspeed",
            {
                "zero_optimization": zero,
                "bf16": {"enabled": settings.precision == "bf16"},
                "data_types": {"grad_accum_dtype": launch.deepspeed.gradient_dtype},
                "gradient_clipping": clipping(settings),
                "train_batch_size": "auto",
                "train_micro_batch_size_per_gpu": "auto",
                "gradient_accumulation_steps": "auto",
            },
            "launch.deepspeed",
        )
    if launch.fsdp:
        translation.put("fsdp_version", 2, "launch.fsdp")
        config = {
            "reshard_after_forward": launch.fsdp.reshard_after_forward,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "state_dict_type": "FULL_STATE_DICT",
        }
        translation.put("fsdp_config", config, "launch.fsdp")


def _put_rounds(export: ExportFolder, settings: GRPOSettings) -> None:
    """A round is one generation batch over all processes."""
    translation, processes = export.translation, settings.launch.processes
    samples = settings.prompts_per_step * settings.group_size
    parts = micro_batch_count(samples // processes, settings.micro_batch_size)
    translation.put("micro_batch_size", samples // processes // parts, "micro_batch_size")
    translation.put("gradient_accumulation_steps", parts)
    translation.put("trl.generation_batch_size", samples, "prompts_per_step")
    translation.put("trl.num_generations", settings.group_size, "group_size")
    translation.put("trl.num_iterations", settings.num_iterations, "num_iterations")
    steps = settings.steps * settings.num_iterations
    translation.put("max_steps", steps, "steps")
    translation.put("num_epochs", 1)


def _put_objective(translation: Translation, settings: GRPOSettings) -> None:
    translation.put("rl", "grpo")
    translation.put("trl.loss_type", settings.loss, "loss")
    translation.put("trl.beta", settings.beta, "beta")
    translation.put("trl.epsilon", settings.epsilon, "epsilon")
    if settings.epsilon_high is not None:
        translation.put("trl.epsilon_high", settings.epsilon_high, "epsilon_high")
    translation.put("trl.scale_rewards", settings.scale_rewards, "scale_rewards")
    translation.put("trl.mask_truncated_completions", settings.mask_truncated, "mask_truncated")
    translation.put("trl.temperature", settings.temperature, "temperature")
    translation.put("trl.max_completion_length", settings.max_new_tokens, "max_new_tokens")


def _put_rollouts(export: ExportFolder, settings: GRPOSettings) -> None:
    translation, rollouts = export.translation, settings.rollouts
    if not isinstance(rollouts, VLLMRollouts):
        translation.put("trl.use_vllm", False, "rollouts.kind")
        translation.differs("rollouts.kind", "transformers' own `generate` samples the responses")
        translation.done("rollouts.batch_size")
        return
    translation.put("trl.use_vllm", True, "rollouts.kind")
    translation.put("trl.vllm_mode", rollouts.mode, "rollouts.mode")
    if rollouts.server_url:
        address = urlsplit(rollouts.server_url)
        translation.put("trl.vllm_server_host", address.hostname, "rollouts.server_url")
        translation.put("trl.vllm_server_port", address.port or 80, "rollouts.server_url")
        export.notes.append(f"Start vLLM first, on its own GPUs: `axolotl vllm-serve {_CONFIG}`.")
    else:
        translation.put("trl.vllm_enable_sleep_mode", rollouts.sleep, "rollouts.sleep")
    translation.put("vllm.gpu_memory_utilization", rollouts.gpu_memory_utilization, "rollouts.gpu_memory_utilization")
    translation.put("vllm.tensor_parallel_size", rollouts.tensor_parallel_size, "rollouts.tensor_parallel_size")
    if rollouts.max_model_len:
        translation.put("vllm.max_model_len", rollouts.max_model_len, "rollouts.max_model_len")
    correction = rollouts.correction
    translation.put("trl.vllm_importance_sampling_correction", correction is not None, "rollouts.correction")
    if correction:
        translation.put("trl.vllm_importance_sampling_mode", correction.mode, "rollouts.correction.mode")
        high = "trl.vllm_importance_sampling_clip_max"
        translation.put(high, correction.max_ratio, "rollouts.correction.max_ratio")
        if correction.min_ratio is not None:
            low = "trl.vllm_importance_sampling_clip_min"
            translation.put(low, correction.min_ratio, "rollouts.correction.min_ratio")


def _yaml(translation: Translation) -> str:
    import yaml

    return yaml.safe_dump(translation.config, sort_keys=False, allow_unicode=True, width=120)
