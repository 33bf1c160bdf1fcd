"""Tokens per CPU second of our sampler against transformers' `generate` at its best batch size, on one CPU thread.

    python -m benchmarks.generate --quick --json

Same model (a random Llama of the quickstart's shape), same prompts, temperature 1, alternating in one process. `equal`:
all samples have the same length, so only the loop matters. `varied`: samples end at one of several end ids, as in
practice, where rows that have ended are wasted by an implementation that keeps them. The last line is JSON; each
`ratio` is our rate over the best rate of `generate`. Measured in CPU time, so that other load matters little.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from astro_factory.engines.base import Request
from astro_factory.engines.sampler import Sampler

VOCABULARY = 700
BATCH_SIZES = (64, 128, 256)
WORKLOADS = {"equal": ([VOCABULARY], 40), "varied": (list(range(VOCABULARY * 3 // 100)), 160)}
"""End ids (one that does not exist, or 3% of all) and most tokens of a sample."""


def make_model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=384,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def make_tokenizer() -> Any:
    words = models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words))


def ours(model: Any, tokenizer: Any, prompts: list[list[int]], most: int) -> int:
    """Tokens sampled."""
    requests = [Request(tuple(prompt), (index,), most) for index, prompt in enumerate(prompts)]
    return sum(len(sample.ids) for [sample] in Sampler(model, tokenizer).generate(requests))


@torch.inference_mode()
def theirs(model: Any, prompts: list[list[int]], most: int, batch_size: int) -> int:
    """Tokens sampled, up to each row's end."""
    tokens, ends = 0, torch.tensor(model.generation_config.eos_token_id)
    for start in range(0, len(prompts), batch_size):
        batch = prompts[start : start + batch_size]
        width = max(map(len, batch))
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in batch])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in batch])
        out = model.generate(ids, attention_mask=mask, do_sample=True, top_k=0, max_new_tokens=most)[:, width:]
        ended_before = torch.isin(out, ends).long().cumsum(1) - torch.isin(out, ends).long()
        tokens += int((ended_before == 0).sum())
    return tokens


def rate(function: Callable[[], int]) -> float:
    start = time.process_time()
    tokens = function()
    return tokens / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="half a minute instead of a few minutes")
    parser.add_argument("--json", action="store_true", help="only the last line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer, rng = make_model(), make_tokenizer(), random.Random(0)
    count = 256 if arguments.quick else 1024
    prompts = [[rng.randrange(100, VOCABULARY) for _ in range(rng.randint(12, 24))] for _ in range(count)]
    result: dict[str, Any] = {"benchmark": "generate", "samples": count, "threads": 1}
    for name, (ends, most) in WORKLOADS.items():
        model.generation_config.eos_token_id = ends
        functions = {"ours": lambda most=most: ours(model, tokenizer, prompts, most)}
        for size in BATCH_SIZES:
            functions[f"generate {size}"] = lambda size=size, most=most: theirs(model, prompts, most, size)
        rates: dict[str, list[float]] = {key: [] for key in functions}
        for _ in range(2 if arguments.quick else 5):
            for key, function in functions.items():
                rates[key].append(rate(function))
        medians = {key: round(statistics.median(values)) for key, values in rates.items()}
        if not arguments.json:
            print(name, *(f"{key}: {value} tokens/s" for key, value in medians.items()), sep="  ")
        best = max(value for key, value in medians.items() if key != "ours")
        result[name] = {"tokens_per_s": medians, "ratio": round(medians["ours"] / best, 2)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
