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
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers.trainer_callback import PrinterCallback

from astro_factory.training.corpus import Collator, Corpus
from astro_factory.training.settings import SFTSettings
from astro_factory.training.sft import make_arguments, make_trainer, plan_micro_batches
from astro_factory.training.weights import silence_transformers

VOCABULARY = 1451


def make_network(hidden: int) -> torch.nn.Module:
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


def make_tokenizer() -> object:
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


def bare_loop(settings: SFTSettings, network: torch.nn.Module, batches: list[dict]) -> float:
    """Processor seconds that forward, backward, clipping and AdamW take, written out."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, fused=True)
    network.train()
    begin = time.process_time()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
            logits = network(batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
            loss = cross_entropy(logits[:, :-1].float().flatten(0, 1), batch["labels"][:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - begin


def adapter(settings: SFTSettings, network: torch.nn.Module, corpus: Corpus, work: Path) -> float:
    """Processor seconds of the same steps in our trainer, without loading and saving."""
    rows = plan_micro_batches(settings, corpus)
    trainer = make_trainer(settings, make_arguments(settings, work, len(rows)), network, make_tokenizer(), corpus, rows)
    trainer.args.save_strategy = "no"
    trainer.remove_callback(PrinterCallback)
    begin = time.process_time()
    trainer.train()
    return time.process_time() - begin


def measure(settings: SFTSettings, hidden: int, repeats: int) -> dict:
    corpus = make_corpus(settings.batch_size * settings.max_steps)
    tokens = int(corpus.starts[-1])
    collate = Collator(corpus, 0, settings.loss)
    size = settings.batch_size
    batches = [collate([{"rows": list(range(i, i + size))}]) for i in range(0, len(corpus), size)]
    rates: dict[str, list[float]] = {"bare": [], "adapter": []}
    torch.set_num_threads(settings.threads)
    for _ in range(repeats):
        rates["bare"].append(tokens / bare_loop(settings, make_network(hidden), batches))
        with tempfile.TemporaryDirectory() as work:
            rates["adapter"].append(tokens / adapter(settings, make_network(hidden), corpus, Path(work)))
        print({name: round(values[-1]) for name, values in rates.items()}, flush=True)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "benchmark": "train",
        "hidden": hidden,
        "precision": settings.precision,
        "threads": settings.threads,
        "bare_tokens_per_s": round(middle["bare"]),
        "adapter_tokens_per_s": round(middle["adapter"]),
        "ratio": round(middle["adapter"] / middle["bare"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON (always so; kept for scripts)")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=128)
    options = parser.parse_args()
    silence_transformers()
    settings = SFTSettings(
        model="",
        data="",
        learning_rate=1e-3,
        precision=options.precision,
        threads=options.threads,
        max_steps=20 if options.quick else 60,
    )
    print(json.dumps(measure(settings, options.hidden, 3 if options.quick else 5)))


if __name__ == "__main__":
    main()
