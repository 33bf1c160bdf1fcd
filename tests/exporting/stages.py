"""A small spec with real inputs, and exports of its stages."""

import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

from astro_factory.core.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE, AdapterConfig
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.exporting import export_stage
from astro_factory.exporting.folder import ExportFolder
from astro_factory.exporting.source import Source
from astro_factory.spec import compile_spec
from astro_factory.training.corpus import Collator, load_corpus
from tests.training.tiny import make_dialogues, make_model

SPEC = """\
factory: 1
name: small
models:
  blank: {kind: init, architecture: {hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1,
    num_key_value_heads: 1, intermediate_size: 8, max_position_embeddings: 256}, vocabulary: {numbers: 9, words: [a]}}
problems:
  puzzles: {kind: countdown, count: 6}
templates:
  talk: reflection/countdown.jinja
stages:
  trees: {kind: search, model: blank, problems: puzzles, engine: {kind: transformers}, 
    policy: {kind: best_of_n, n: 2}}
  lessons: {kind: practice, count: 40, numbers: {3: 1.0}}
  tuned: {kind: sft, model: blank, data: lessons, learning_rate: 0.01, batch_size: 8}
  trained: {kind: grpo, model: tuned, problems: puzzles, steps: 3, prompts_per_step: 4, group_size: 2,
    max_new_tokens: 50, learning_rate: 0.01}
"""
TRAINERS = ("axolotl", "prime-rl", "verl")
_numbers = itertools.count()


def make_inputs(folder: Path) -> dict[str, Path]:
    """A model, dialogues and problems: the inputs of both stages."""
    made = {name: folder / name for name in ("blank", "lessons", "puzzles")}
    make_model(made["blank"])
    make_dialogues(made["lessons"], 40)
    made["puzzles"].mkdir()
    write_table(made["puzzles"] / "problems.parquet", [problem(n).as_row() for n in range(6)], problem_schema())
    return made


def make_adapter(folder: Path) -> Path:
    """The artifact of an adapter on a model."""
    model = make_model(folder / BASE)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(model / name, folder / name)
    module = "base_model.model.model.layers.0.self_attn.q_proj.lora"
    save_file(
        {f"{module}_A.weight": torch.zeros(4, 64), f"{module}_B.weight": torch.zeros(64, 4)}, folder / ADAPTER_WEIGHTS
    )
    config = AdapterConfig(r=4, lora_alpha=8, target_modules=["q_proj"], base_model_name_or_path=BASE)
    (folder / ADAPTER_CONFIG).write_text(config.text())
    return folder


def problem(number: int) -> Problem:
    info = {"numbers": [4, 10, 3], "target": 17}
    return Problem(f"p{number}", "numbers 4 10 3 target 17", "17", "countdown", info, "3 numbers")


def source(folder: Path, outputs: Mapping[str, Path], stage: str, sets: Sequence[str] = ()) -> Source:
    spec = folder / "spec.yaml"
    spec.write_text(SPEC)
    return Source(str(spec), stage, compile_spec(spec, sets=sets), outputs)


def export(
    folder: Path, outputs: Mapping[str, Path], trainer: str, stage: str, sets: Sequence[str] = ()
) -> ExportFolder:
    """The export of a stage into a new folder below `folder`."""
    return export_stage(trainer, source(folder, outputs, stage, sets), folder / f"export{next(_numbers)}")


def collated(outputs, loss: str) -> list[dict[str, list]]:
    """What the stage's own trainer gets for each dialogue, without padding."""
    tokenizer = AutoTokenizer.from_pretrained(outputs["blank"])
    corpus = load_corpus(outputs["lessons"], tokenizer, 256)
    collate = Collator(corpus, 0, loss)
    batches = [collate([{"rows": [i]}]) for i in range(len(corpus))]
    return [
        {name: values[0, :length].tolist() for name, values in batch.items()}
        for batch, length in zip(batches, corpus.lengths(), strict=True)
    ]
