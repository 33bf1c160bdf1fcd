"""Tokens per second of our SFT against a bare PyTorch loop over the same model and the same batches.

    python -m benchmarks.train --quick --json

The two alternate several times. Rates are in CPU time, which other programs on the machine affect least; with one
thread on an idle core it equals wall time. The last line is JSON with the medians and their ratio.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback

from astro_factory.core.context import Events
from astro_factory.training.adapters import Trained
from astro_factory.training.corpus import Collator, Corpus
from astro_factory.training.settings import LoraAdapter, SFTSettings
from astro_factory.training.sft import make_arguments, make_trainer, plan_micro_batches
from astro_factory.training.trainers import autocasts
from astro_factory.training.weights import silence_transformers

VOCABULARY = 1451


def make_network(hidden: int) -> PreTrainedModel:
    """The quickstart's Llama: 0.86M parameters at a hidden size of 128."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=4,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    return LlamaForCausalLM(config)


def make_tokenizer() -> PreTrainedTokenizerBase:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"[pad]": 0, "[eos]": 1} | {str(i): i for i in range(2, VOCABULARY)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words)), pad_token="[pad]", eos_token="[eos]"
    )


def make_corpus(count: int) -> Corpus:
    """Random dialogues of 40 to 60 tokens, a prompt of 10 included."""
    rng = random.Random(0)
    lengths = [rng.randint(40, 60) for _ in range(count)]
    starts = np.cumsum([0, *lengths])
    mask = np.ones(starts[-1], bool)
    for start in starts[:-1]:
        mask[start : start + 10] = False
    ids = np.random.default_rng(0).integers(2, VOCABULARY, starts[-1]).astype(np.int32)
    return Corpus(ids, mask, np.zeros(len(ids), bool), starts, 0)


class Silent(Events):
    """Drops what a stage reports."""

    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        pass

    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        pass

    def log(self, text: str) -> None:
        pass


def bare_loop(settings: SFTSettings, network: torch.nn.Module, batches: list[dict]) -> float:
    """Processor seconds that forward, backward, clipping and AdamW take, written out."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, fused=True)
    in_bf16 = autocasts(settings)  # as our trainer decides, so that both do the same arithmetic
    network.train()
    begin = time.process_time()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            logits = network(batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
            loss = cross_entropy(logits[:, :-1].float().flatten(0, 1), batch["labels"][:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - begin


def our_trainer(settings: SFTSettings, network: Trained, corpus: Corpus, work: Path) -> float:
    """Processor seconds of the same steps in our trainer, without loading and saving."""
    rows = plan_micro_batches(settings, corpus)
    trainer = make_trainer(settings, make_arguments(settings, work, len(rows)), network, make_tokenizer(), corpus, rows)
    trainer.args.save_strategy = "no"
    trainer.remove_callback(PrinterCallback)
    begin = time.process_time()
    trainer.train()
    return time.process_time() - begin


def measure(
    settings: SFTSettings,
    repeats: int,
    bare_network: Callable[[], torch.nn.Module],
    our_network: Callable[[], Trained],
) -> dict[str, Any]:
    """The rates of both loops; each run starts from a new network."""
    corpus = make_corpus(settings.batch_size * settings.max_steps)
    tokens = int(corpus.starts[-1])
    collate = Collator(corpus, 0, settings.loss)
    size = settings.batch_size
    batches = [collate([{"rows": list(range(i, i + size))}]) for i in range(0, len(corpus), size)]
    rates: dict[str, list[float]] = {"bare": [], "trainer": []}
    torch.set_num_threads(settings.threads)
    for _ in range(repeats):
        rates["bare"].append(tokens / bare_loop(settings, bare_network(), batches))
        with tempfile.TemporaryDirectory() as work:
            rates["trainer"].append(tokens / our_trainer(settings, our_network(), corpus, Path(work)))
        print({name: round(values[-1]) for name, values in rates.items()}, flush=True)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "precision": settings.precision,
        "autocast": autocasts(settings),
        "threads": settings.threads,
        "bare_tokens_per_s": round(middle["bare"]),
        "trainer_tokens_per_s": round(middle["trainer"]),
        "ratio": round(middle["trainer"] / middle["bare"], 3),
    }


def options_from(about: str | None, hidden: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON (always so; kept for scripts)")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=hidden)
    silence_transformers()
    return parser.parse_args()


def settings_from(options: argparse.Namespace, steps: int, adapter: LoraAdapter | None = None) -> SFTSettings:
    return SFTSettings(
        model="",
        data="",
        learning_rate=1e-3,
        precision=options.precision,
        threads=options.threads,
        max_steps=steps,
        adapter=adapter,
    )


def main() -> None:
    options = options_from(__doc__, hidden=128)
    settings = settings_from(options, steps=20 if options.quick else 60)

    def network() -> PreTrainedModel:
        return make_network(options.hidden)

    found = measure(settings, 3 if options.quick else 5, network, network)
    print(json.dumps({"benchmark": "train", "hidden": options.hidden} | found))


if __name__ == "__main__":
    main()
