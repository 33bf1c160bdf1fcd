"""vLLM as a library: prompts as token ids, a seed for each sample, shared prefixes computed once."""

from collections.abc import Sequence
from pathlib import Path

from vllm import LLM, SamplingParams
from vllm.inputs import TokensPrompt

from astro_factory.engines.base import Engine, Request, Sample, room_for
from astro_factory.engines.config import VllmConfig


class VllmEngine(Engine):
    """Each sample is a request of its own, so that its seed is its own; prefix caching shares the prompt's work."""

    def __init__(self, config: VllmConfig, folder: Path):
        self._llm = LLM(
            model=str(folder),
            dtype=config.dtype,
            max_model_len=config.max_model_len,
            gpu_memory_utilization=config.gpu_memory_utilization,
            tensor_parallel_size=config.tensor_parallel_size,
            max_num_seqs=config.max_num_seqs,
            enforce_eager=config.enforce_eager,
            enable_prefix_caching=True,
            # the checkpoint's own generation settings would change the sampling behind the request's back
            generation_config="vllm",
            seed=0,
        )
        self.tokenizer = self._llm.get_tokenizer()
        self.max_model_len = self._llm.model_config.max_model_len

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        prompts, settings = [], []
        for request in requests:
            limit = room_for(request, self.max_model_len)
            for seed in request.seeds:
                prompts.append(TokensPrompt(prompt_token_ids=list(request.prompt_ids)))
                settings.append(
                    SamplingParams(
                        seed=seed,
                        temperature=request.temperature,
                        max_tokens=limit,
                        stop=list(request.stop),
                        logprobs=0,
                    )
                )
        outputs = iter(self._llm.generate(prompts, settings, use_tqdm=False)) if prompts else iter(())
        return [[_sample(next(outputs).outputs[0]) for _ in request.seeds] for request in requests]

    def close(self) -> None:
        del self._llm


def _sample(output: object) -> Sample:
    """`output` is vLLM's CompletionOutput; its stop reason is the string that ended it, or nothing at an end id."""
    ids = tuple(output.token_ids)
    logprobs = tuple(step[token].logprob for token, step in zip(ids, output.logprobs, strict=True))
    finish = "length" if output.finish_reason == "length" else "stop" if isinstance(output.stop_reason, str) else "eos"
    return Sample(ids, output.text, logprobs, finish)
