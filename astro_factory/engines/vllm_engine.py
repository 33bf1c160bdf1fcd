"""vLLM as a library: prompts as token ids, one seed per sample, shared prefixes computed once.

vLLM's asynchronous engine runs in its own process and accepts requests at any time, so the batch is as full as the
requests allow. Its event loop runs in a thread of this process.
"""

import asyncio
import multiprocessing
import os
import subprocess
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from transformers import AutoTokenizer
from vllm import SamplingParams
from vllm.config.lora import MaxLoRARanks
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs import tokens_input
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from astro_factory.core.adapters import base_source, read_adapter, vllm_rank_fault
from astro_factory.core.errors import UserError
from astro_factory.core.models import check_weights
from astro_factory.engines.async_engine import AsyncEngine
from astro_factory.engines.base import Request, Sample, room_for
from astro_factory.engines.config import VllmConfig

_ENDING_S = 5.0
"""How long requests in flight may take to cancel before the engine's process is ended."""


class VllmEngine(AsyncEngine):
    """Each sample is a separate request with its own seed; prefix caching shares the work of the prompt."""

    def __init__(self, config: VllmConfig, folder: Path):
        os.environ["VLLM_NO_USAGE_STATS"] = "1"
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        check_weights(folder)
        if (adapter := read_adapter(folder)) and (fault := vllm_rank_fault(adapter.r, str(folder))):
            raise UserError(fault)
        self._adapter = LoRARequest("adapter", 1, str(folder)) if adapter else None
        self.timeout_s = config.timeout_s
        self._numbers = count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        before = set(multiprocessing.active_children())
        try:
            self._llm = self._run(_started(config, folder)).result()
        except Exception as error:
            self._end_loop()
            raise UserError.of(
                "E609",
                f"vLLM does not start: {_cause(error)}",
                "see the stage's log; compare the engine's settings with the model and with the free memory",
            ) from error
        children = set(multiprocessing.active_children()) - before
        self._leash = _leash([child.pid for child in children if child.pid])
        self.max_model_len = self._llm.model_config.max_model_len

    def submit(self, request: Request, seed: int) -> "Future[Sample]":
        return self._run(self._sample(request, seed, room_for(request, self.max_model_len)))

    def close(self) -> None:
        self._run(_cancel_tasks()).result()
        self._llm.shutdown()
        del self._llm
        self._end_loop()
        self._leash.kill()
        self._leash.communicate()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _sample(self, request: Request, seed: int, limit: int) -> Sample:
        settings = SamplingParams(
            seed=seed,
            temperature=request.temperature,
            max_tokens=limit,
            stop=list(request.stop),
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = tokens_input(list(request.prompt_ids))
        final: Any = None
        try:
            number = str(next(self._numbers))
            async for output in self._llm.generate(prompt, settings, number, lora_request=self._adapter):
                final = output
        except EngineDeadError as error:
            raise UserError.of(
                "E609",
                "the process of vLLM's engine ended",
                "see the stage's log; if memory ran out, lower gpu_memory_utilization or max_num_seqs. "
                "Finished items are kept: the same command continues from there",
            ) from error
        return _as_sample(final.outputs[0])

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _started(config: VllmConfig, folder: Path) -> AsyncLLM:
    # an offline batch may have 16,384 tokens a step on an 80 GB GPU; the default context allows 2,048
    return AsyncLLM.from_engine_args(
        AsyncEngineArgs(**engine_arguments(config, folder)), usage_context=UsageContext.LLM_CLASS
    )


def engine_arguments(config: VllmConfig, folder: Path) -> dict[str, Any]:
    """The arguments of vLLM's engine for a configuration; `options` come last."""
    return {
        "model": str(folder),
        **_adapter_arguments(folder),
        "dtype": config.dtype,
        "max_model_len": config.max_model_len,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "tensor_parallel_size": config.tensor_parallel_size,
        # in an actor of Ray vLLM would ask Ray for the GPUs that the actor has reserved for it
        "distributed_executor_backend": "mp" if config.tensor_parallel_size > 1 else None,
        "max_num_seqs": config.max_num_seqs,
        "enforce_eager": config.enforce_eager,
        "enable_prefix_caching": True,
        # on a CPU a seeded request with a chunked prompt crashes the engine: its generator cannot be rewound
        "enable_chunked_prefill": False if current_platform.is_cpu() else None,
        # the checkpoint's generation config would override the sampling settings of requests
        "generation_config": "vllm",
        "seed": 0,
        "disable_log_stats": True,
        **config.options,
    }


def _adapter_arguments(folder: Path) -> dict[str, Any]:
    """The arguments by which vLLM adds an adapter to its base in every request."""
    adapter = read_adapter(folder)
    if adapter is None:
        return {}
    base = base_source(folder)
    check_weights(base)
    rank = next((rank for rank in get_args(MaxLoRARanks) if rank >= adapter.r), adapter.r)
    return {"model": str(base), "tokenizer": str(folder), "enable_lora": True, "max_loras": 1, "max_lora_rank": rank}


async def _cancel_tasks() -> None:
    """Cancel all other tasks of this loop."""
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=_ENDING_S)


def _leash(pids: list[int]) -> subprocess.Popen:
    """A process that kills these when this process ends in any way: vLLM's would stay and keep their memory."""
    command = ["/bin/sh", "-c", 'read _; kill -9 "$@"', "leash", *map(str, pids)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)


def _as_sample(output: Any) -> Sample:
    """`output` is vLLM's CompletionOutput; its stop reason is the stop string, or None at an end id."""
    ids = tuple(output.token_ids)
    logprobs = tuple(step[token].logprob for token, step in zip(ids, output.logprobs, strict=True))
    finish = "length" if output.finish_reason == "length" else "stop" if isinstance(output.stop_reason, str) else "eos"
    return Sample(ids, output.text, logprobs, finish)


def _cause(error: Exception) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
