"""Exports to verl: a Parquet dataset, a hydra config on top of verl's own, and modules for its processes."""

import math
from collections.abc import Iterator
from typing import Any

from astro_factory.core.problems import Problem
from astro_factory.exporting.common import (
    clipping,
    divided,
    explain_decay,
    explain_length_cost,
    explain_machine,
    explain_on_policy,
    explain_rounds,
    explain_steps,
    explain_unjudged,
    explain_warm_up,
)
from astro_factory.exporting.dialogues import Dialogues, read_dialogues
from astro_factory.exporting.folder import ExportFolder
from astro_factory.exporting.prompts import longest_prompt, prompt, read_problems, write_judge
from astro_factory.exporting.translation import Translation
from astro_factory.training.rollout_schedule import micro_batch_count
from astro_factory.training.settings import GRPOSettings, TrainingConfig, VLLMRollouts

VERSION = "verl 0.9.1"
_CONFIG = "config.yaml"
_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
_AGGREGATION = {
    "dapo": "token-mean",
    "cispo": "token-mean",
    "grpo": "seq-mean-token-mean",
    "dr_grpo": "seq-mean-token-sum-norm",
}
_NO_DUAL_CLIP = 1e6
"""verl's vanilla loss also clips the ratio of negative advantages, at this bound."""
_LENGTH_UNIT = 64


def export_sft(export: ExportFolder) -> None:
    """The stage's token ids and loss weights, which a dataset class in the folder hands to verl's SFT trainer."""
    settings, translation = export.source.sft, export.translation
    data = read_dialogues(export.source)
    export.table("train.parquet", _token_rows(data), _token_schema())
    export.asset("verl_dataset.py")
    _begin(export, "sft_trainer_engine")
    steps, processes = len(data.steps), settings.launch.processes
    micro, parts = divided(min(data.batch_size, len(data)), processes, settings.micro_batches)
    batch = micro * parts * processes
    translation.put("data.train_files", "${folder}/train.parquet", "data")
    translation.put("data.custom_cls.path", "${folder}/verl_dataset.py")
    translation.put("data.custom_cls.name", "TokenDataset", "loss")
    translation.put("data.max_length", settings.max_length or data.longest, "max_length")
    translation.put("data.train_batch_size", batch, "batch_size")
    translation.put("data.micro_batch_size_per_gpu", micro, "micro_batches")
    translation.put("data.use_dynamic_bsz", False)
    translation.put("trainer.total_epochs", math.ceil(steps / max(1, len(data) // batch)), "epochs")
    translation.put("trainer.total_training_steps", steps, "max_steps")
    translation.put("trainer.seed", settings.seed, "seed")
    explain_steps(translation, data, steps, batch)
    if len(data) % batch:
        text = f"an epoch leaves out the last {len(data) % batch} dialogues, which do not fill a step"
        translation.differs("epochs", text)
    _put_model(export, "model", settings)
    _put_optimizer(translation, "optim", settings)
    _put_engine(translation, "engine", settings)
    translation.put("engine.seed", settings.seed)
    _put_trainer(export, settings)
    launch = settings.launch
    nodes = f"--nnodes={launch.nodes} --nproc-per-node={launch.processes_per_node}"
    if launch.nodes > 1:
        nodes += " --rdzv-backend=c10d --rdzv-endpoint=HEAD:29400"
        export.notes.append("Start the command on each node; `HEAD` is the host name of one of them.")
    export.commands.append(f"torchrun {nodes} -m verl.trainer.sft_trainer --config-path=$PWD --config-name=config")
    _finish(export)


def export_grpo(export: ExportFolder) -> None:
    """Prompts with their known answers, and a reward function."""
    settings, translation = export.source.grpo, export.translation
    problems = read_problems(export.source)
    times = math.ceil(settings.prompts_per_step / len(problems))  # a round takes whole batches of rows
    export.table("train.parquet", _prompt_rows(problems, times), _prompt_schema())
    export.asset("verl_reward.py")
    write_judge(export, problems)
    _begin(export, "ppo_trainer")
    _put_rounds(export, settings, problems, times)
    _put_objective(translation, settings)
    _put_rollouts(export, settings)
    _put_reward(translation, settings)
    _put_model(export, "actor_rollout_ref.model", settings)
    _put_optimizer(translation, f"{_ACTOR}.optim", settings)
    _put_engine(translation, f"{_ACTOR}.fsdp_config", settings)
    _put_trainer(export, settings)
    translation.put("trainer.val_before_train", False)
    translation.put("trainer.critic_warmup", 0)
    if settings.launch.nodes > 1:
        export.notes.append("Start a Ray cluster of the nodes first, and the command on its head.")
    export.commands.append("python -m verl.trainer.main_ppo --config-path=$PWD --config-name=config")
    _finish(export)


KINDS = {"sft": export_sft, "grpo": export_grpo}


def _begin(export: ExportFolder, base: str) -> None:
    """The config is that of verl, `base`, with what stands here on top."""
    export.versions = VERSION
    export.translation.put("hydra", {"searchpath": ["pkg://verl.trainer.config"]})
    export.translation.put("defaults", [base, "_self_"])
    export.translation.put("folder", str(export.folder))
    export.notes.append("If you move the folder, change `folder` at the top of the config.")


def _finish(export: ExportFolder) -> None:
    import yaml

    explain_machine(export.translation, export.source.settings, "verl")
    text = yaml.safe_dump(export.translation.config, sort_keys=False, allow_unicode=True, width=120)
    export.text(_CONFIG, text)


def _token_rows(data: Dialogues) -> Iterator[dict[str, Any]]:
    for messages, (ids, weights) in zip(data.messages, data.weights(), strict=True):
        yield {"messages": messages, "input_ids": ids, "loss_mask": weights.tolist()}


def _token_schema() -> Any:
    import pyarrow as pa

    from astro_factory.core.dialogues import message_type

    lists = {"messages": message_type(), "input_ids": pa.int32(), "loss_mask": pa.float32()}
    return pa.schema([(name, pa.list_(type)) for name, type in lists.items()])


def _prompt_rows(problems: list[Problem], times: int) -> Iterator[dict[str, Any]]:
    for _ in range(times):
        for index, problem in enumerate(problems):
            yield {
                "data_source": problem.verifier,
                "prompt": prompt(problem),
                "ability": problem.level,
                "reward_model": {"style": "rule", "ground_truth": problem.answer},
                "extra_info": {"index": index, **problem.as_row()},
            }


def _prompt_schema() -> Any:
    import pyarrow as pa

    from astro_factory.core.dialogues import message_type
    from astro_factory.core.problems import problem_schema

    text = pa.string()
    return pa.schema(
        [
            ("data_source", text),
            ("prompt", pa.list_(message_type())),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            ("extra_info", pa.struct([pa.field("index", pa.int64()), *problem_schema()])),
        ]
    )


def _put_model(export: ExportFolder, key: str, settings: TrainingConfig) -> None:
    translation, model, adapter = export.translation, export.source.model, settings.adapter
    translation.put(f"{key}.path", model.path if export.source.has_model else f"${{folder}}/{model.path}", "model")
    if model.revision:
        export.notes.append(
            f"verl loads the newest revision of {model.path}; the stage uses {model.revision}. To pin it, download "
            f"that revision and set `{key}.path` to the folder."
        )
    translation.put(f"{key}.enable_gradient_checkpointing", settings.gradient_checkpointing, "gradient_checkpointing")
    text = "verl computes without padding, with FlashAttention 2"
    translation.differs("attention", text, when=settings.attention != "flash_attention_2")
    if adapter:
        translation.put(f"{key}.lora_rank", adapter.rank, "adapter.rank")
        translation.put(f"{key}.lora_alpha", adapter.alpha, "adapter.alpha")
        modules = adapter.target_modules if isinstance(adapter.target_modules, str) else list(adapter.target_modules)
        translation.put(f"{key}.target_modules", modules, "adapter.target_modules")
        if model.adapter:
            translation.put(f"{key}.lora_adapter_path", model.adapter, "model")
    text = "the frozen weights are not quantized: they take the memory of `precision`"
    translation.differs("quantize", text, when=settings.quantize is not None)
    translation.done("adapter")


def _put_optimizer(translation: Translation, key: str, settings: TrainingConfig) -> None:
    name, library = "AdamW", "torch.optim"
    if settings.optimizer == "adamw_8bit":
        name, library = "AdamW8bit", "bitsandbytes.optim"
    translation.put(f"{key}.optimizer", name, "optimizer")
    translation.put(f"{key}.optimizer_impl", library, "optimizer")
    text = "verl cannot give Muon the matrices alone: AdamW trains all weights, so tune learning_rate"
    translation.differs("optimizer", text, when=settings.optimizer == "muon")
    translation.put(f"{key}.lr", settings.learning_rate, "learning_rate")
    translation.put(f"{key}.weight_decay", settings.weight_decay, "weight_decay")
    explain_decay(translation, settings)
    translation.put(f"{key}.betas", list(settings.adam_betas), "adam_betas")
    translation.put(f"{key}.clip_grad", clipping(settings), "max_grad_norm")
    translation.put(f"{key}.lr_warmup_steps", settings.warmup_steps, "warmup_steps")
    # counted from 1, a warm-up starts above 0 as ours does, but a decay would come one step early
    steady = settings.schedule == "constant"
    translation.put(f"{key}.zero_indexed_step", not steady)
    if not steady:
        explain_warm_up(translation, settings)
    translation.put(f"{key}.lr_scheduler_type", "constant" if steady else "cosine", "schedule")
    translation.differs("schedule", "verl has no linear schedule: cosine", when=settings.schedule == "linear")
    translation.put(f"{key}.min_lr_ratio", settings.min_learning_rate_ratio, "min_learning_rate_ratio")


def _put_engine(translation: Translation, key: str, settings: TrainingConfig) -> None:
    """Precision and sharding: verl trains with FSDP always, over weights in single precision."""
    translation.put(f"{key}.model_dtype", "fp32")
    translation.put(f"{key}.dtype", "bfloat16" if settings.precision == "bf16" else "float32", "precision")
    translation.differs("precision", "verl has no such setting: fp32", when=settings.precision == "tf32")
    launch = settings.launch
    if launch.fsdp:
        translation.put(f"{key}.strategy", "fsdp2", "launch.fsdp")
        translation.put(f"{key}.reshard_after_forward", launch.fsdp.reshard_after_forward, "launch.fsdp")
        return
    if launch.deepspeed:
        translation.put(f"{key}.optimizer_offload", launch.deepspeed.offload_optimizer, "launch.deepspeed")
        text = "verl shards with FSDP in place of DeepSpeed: weights, gradients and optimizer states"
        translation.differs("launch.deepspeed", text)
    elif launch.processes > 1:
        translation.differs("launch.processes", "verl shards the weights among the processes (FSDP)")
    translation.done("launch.fsdp", "launch.deepspeed")


def _put_trainer(export: ExportFolder, settings: TrainingConfig) -> None:
    translation, launch = export.translation, settings.launch
    translation.put("trainer.project_name", export.source.graph.name)
    translation.put("trainer.experiment_name", export.source.stage)
    translation.put("trainer.default_local_dir", "${folder}/checkpoints")
    translation.put("trainer.logger", ["console"])
    translation.put("trainer.save_freq", settings.save_every, "save_every")
    translation.put("trainer.test_freq", -1)
    translation.put("trainer.nnodes", launch.nodes, "launch.nodes")
    translation.put("trainer.n_gpus_per_node", launch.processes_per_node, "launch.processes")
    translation.done("log_every")


def _put_rounds(export: ExportFolder, settings: GRPOSettings, problems: list[Problem], times: int) -> None:
    """A round is one training batch."""
    translation, prompts = export.translation, settings.prompts_per_step
    room = longest_prompt(export.source, problems)
    translation.put("data.train_files", "${folder}/train.parquet", "problems")
    translation.put("data.val_files", "${folder}/train.parquet")
    translation.put("data.train_batch_size", prompts, "prompts_per_step")
    translation.put("data.max_prompt_length", math.ceil(room / _LENGTH_UNIT) * _LENGTH_UNIT)
    translation.put("data.max_response_length", settings.max_new_tokens, "max_new_tokens")
    translation.put("data.seed", settings.seed, "seed")
    translation.put("trainer.total_training_steps", settings.steps, "steps")
    translation.put("trainer.total_epochs", math.ceil(settings.steps / (len(problems) * times // prompts)))
    share = prompts * settings.group_size // settings.launch.processes
    micro = share // micro_batch_count(share, settings.micro_batch_size)
    translation.put(f"{_ACTOR}.ppo_mini_batch_size", prompts)
    translation.put(f"{_ACTOR}.ppo_micro_batch_size_per_gpu", micro, "micro_batch_size")
    translation.put(f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu", micro)
    translation.put("actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu", micro)
    translation.put(f"{_ACTOR}.ppo_epochs", settings.num_iterations, "num_iterations")
    explain_rounds(translation, settings)
    explain_on_policy(translation, settings)
    if settings.max_replacements:
        translation.put("algorithm.filter_groups.enable", True, "max_replacements")
        most = 1 + settings.max_replacements
        translation.put("algorithm.filter_groups.max_num_gen_batches", most, "max_replacements")
        text = "verl samples whole batches until enough groups have a signal, and fails when it reaches the limit"
        translation.differs("max_replacements", text)


def _put_objective(translation: Translation, settings: GRPOSettings) -> None:
    translation.put("algorithm.adv_estimator", "grpo")
    scaled = settings.scale_rewards != "none"
    translation.put("algorithm.norm_adv_by_std_in_grpo", scaled, "scale_rewards")
    text = "advantages are divided by the standard deviation of their group"
    translation.differs("scale_rewards", text, when=settings.scale_rewards == "batch")
    translation.put(f"{_ACTOR}.loss_agg_mode", _AGGREGATION[settings.loss], "loss")
    if settings.loss == "dr_grpo":
        translation.put(f"{_ACTOR}.loss_scale_factor", settings.max_new_tokens, "loss")
    low, high = settings.epsilon, settings.epsilon_high or settings.epsilon
    if settings.loss == "cispo":  # verl's bounds are distances from 1, and its lower one is off at 1
        translation.put(f"{_ACTOR}.policy_loss.loss_mode", "cispo", "loss")
        low, high = 1.0, high - 1
    translation.put(f"{_ACTOR}.clip_ratio", low)
    translation.put(f"{_ACTOR}.clip_ratio_low", low, "epsilon")
    translation.put(f"{_ACTOR}.clip_ratio_high", high, "epsilon_high")
    translation.put(f"{_ACTOR}.clip_ratio_c", _NO_DUAL_CLIP)
    translation.put(f"{_ACTOR}.use_kl_loss", settings.beta > 0, "beta")
    translation.put(f"{_ACTOR}.kl_loss_coef", settings.beta, "beta")
    translation.put(f"{_ACTOR}.kl_loss_type", "low_var_kl")
    text = "cut-off responses count in the loss"
    translation.differs("mask_truncated", text, when=settings.mask_truncated)


def _put_rollouts(export: ExportFolder, settings: GRPOSettings) -> None:
    translation, rollouts = export.translation, settings.rollouts
    translation.put(f"{_ROLLOUT}.name", "vllm", "rollouts.kind")
    translation.put(f"{_ROLLOUT}.n", settings.group_size, "group_size")
    translation.put(f"{_ROLLOUT}.temperature", settings.temperature, "temperature")
    if settings.adapter:
        translation.put(f"{_ROLLOUT}.load_format", "safetensors")
    if not isinstance(rollouts, VLLMRollouts):
        translation.put(f"{_ROLLOUT}.tensor_model_parallel_size", 1)
        translation.differs("rollouts.kind", "vLLM samples the responses, with slightly other probabilities")
        translation.done("rollouts.batch_size")
        return
    text = "verl runs vLLM on the GPUs that train, not on a server"
    translation.differs("rollouts.mode", text, when=rollouts.mode == "server")
    translation.done("rollouts.server_url")
    size = rollouts.tensor_parallel_size
    translation.put(f"{_ROLLOUT}.tensor_model_parallel_size", size, "rollouts.tensor_parallel_size")
    share = rollouts.gpu_memory_utilization
    translation.put(f"{_ROLLOUT}.gpu_memory_utilization", share, "rollouts.gpu_memory_utilization")
    translation.put(f"{_ROLLOUT}.free_cache_engine", rollouts.sleep, "rollouts.sleep")
    if rollouts.max_model_len:
        translation.put(f"{_ROLLOUT}.max_model_len", rollouts.max_model_len, "rollouts.max_model_len")
    if correction := rollouts.correction:
        level, _, way = correction.mode.partition("_")
        key = "algorithm.rollout_correction"
        translation.put(f"{key}.rollout_is", level, "rollouts.correction.mode")
        translation.put(f"{key}.rollout_is_threshold", correction.max_ratio, "rollouts.correction.max_ratio")
        text = "ratios above the bound are cut, not left out"
        translation.differs("rollouts.correction.mode", text, when=way == "mask")
        text = "there is no lower bound"
        translation.differs("rollouts.correction.min_ratio", text, when=correction.min_ratio is not None)
    translation.done("rollouts.correction")


def _put_reward(translation: Translation, settings: GRPOSettings) -> None:
    translation.put("reward.custom_reward_function.path", "${folder}/verl_reward.py", "reward")
    translation.put("reward.custom_reward_function.name", "compute_score")
    text = "verl's reward functions do not see whether a response was cut off: its verdict decides"
    translation.differs("reward.truncated", text, when=settings.reward.truncated is not None)
    explain_length_cost(translation, settings)
    explain_unjudged(translation)
