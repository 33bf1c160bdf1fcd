"""vLLM as a library: prompts as token ids, a seed for each sample, shared prefixes computed once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vllm import LLM, SamplingParams
from vllm.inputs import TokensPrompt
from vllm.sampling_params import RequestOutputKind

from astro_factory.engines.base import Engine, Request, Sample, SampleStream, room_for
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
        wanted = [(request, seed) for request in requests for seed in request.seeds]
        prompts, settings = [_prompt(request) for request, _ in wanted], [self._settings(*pair) for pair in wanted]
        outputs = iter(self._llm.generate(prompts, settings, use_tqdm=False)) if prompts else iter(())
        return [[_sample(next(outputs).outputs[0]) for _ in request.seeds] for request in requests]

    def stream(self) -> "_VllmStream":
        return _VllmStream(self)

    def begin(self, name: str, request: Request, seed: int) -> None:
        """Put a sample in flight, beside those that are."""
        settings = self._settings(request, seed)
        settings.output_kind = RequestOutputKind.FINAL_ONLY
        self._llm.llm_engine.add_request(name, _prompt(request), settings)

    def step(self) -> Iterator[tuple[str, Sample]]:
        """One token more for what is in flight; the samples that end with it, by name."""
        for output in self._llm.llm_engine.step():
            if output.finished:
                yield output.request_id, _sample(output.outputs[0])

    def _settings(self, request: Request, seed: int) -> SamplingParams:
        return SamplingParams(
            seed=seed,
            temperature=request.temperature,
            max_tokens=room_for(request, self.max_model_len),
            stop=list(request.stop),
            logprobs=0,
        )

    def close(self) -> None:
        del self._llm


class _VllmStream(SampleStream):
    """Samples that are advanced together; each is done as it ends."""

    def __init__(self, engine: VllmEngine):
        super().__init__()
        self._engine = engine

    def _begin(self, number: int, request: Request, seed: int) -> None:
        self._engine.begin(str(number), request, seed)

    def _finished(self) -> Iterator[tuple[int, Sample]]:
        for name, sample in self._engine.step():
            yield int(name), sample


def _prompt(request: Request) -> TokensPrompt:
    return TokensPrompt(prompt_token_ids=list(request.prompt_ids))


def _sample(output: object) -> Sample:
    """`output` is vLLM's CompletionOutput; its stop reason is the string that ended it, or nothing at an end id."""
    ids = tuple(output.token_ids)
    logprobs = tuple(step[token].logprob for token, step in zip(ids, output.logprobs, strict=True))
    finish = "length" if output.finish_reason == "length" else "stop" if isinstance(output.stop_reason, str) else "eos"
    return Sample(ids, output.text, logprobs, finish)
