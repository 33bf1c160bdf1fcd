"""The kinds of engine and their settings: `engines:` in a spec.

Fields that affect only speed and memory are not semantic, so a result is a hit on any machine.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from astro_factory.core.config import LATER, NOT_SEMANTIC, Config, Definition, UserCode
from astro_factory.core.registry import KindRegistry, OpenUnion
from astro_factory.core.urls import ServerUrl
from astro_factory.core.user_code import code_digest
from astro_factory.engines.vllm_options import check_options


class EngineSettings(Config):
    """The base of every engine's configuration. Subclasses add `kind: Literal[...]` and their fields."""

    def cores(self) -> int:
        """CPU cores that one engine keeps busy."""
        return 1

    def gpus(self) -> int:
        """GPUs that one engine needs, if the machine has GPUs."""
        return 1

    def context_length(self) -> int | None:
        """Longest prompt and sample together, in tokens; None if only the model determines it."""
        return getattr(self, "max_model_len", None)


class TransformersConfig(EngineSettings):
    """The model in this process, in our own batched loop over transformers' modules; for CPUs and single GPUs."""

    kind: Literal["transformers"]
    batch_size: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 256
    """Samples that are generated at once. Their bits are the same for any value (Llama models, CPU, float32)."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type of the weights while sampling; `auto` takes the checkpoint's. On a CPU that cannot multiply in bf16,
    float32 is several times faster."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], NOT_SEMANTIC] = "auto"
    """Where the model runs; `auto` takes a GPU if there is one."""
    threads: int = Field(1, gt=0)
    """CPU threads. For small models, several processes of one thread each are faster."""
    max_model_len: int | None = Field(None, gt=1)
    """Longest prompt and sample together, in tokens. Default: the model's context."""

    def cores(self) -> int:
        return self.threads

    def gpus(self) -> int:
        return int(self.device in ("auto", "cuda"))


class VllmConfig(EngineSettings):
    """vLLM as a library, with prefix caching; for GPUs. Its results are recorded, not bit-reproducible."""

    kind: Literal["vllm"]
    max_model_len: int | None = Field(None, gt=1)
    """Longest prompt and sample together, in tokens. Default: the model's context."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type of the weights; `auto` takes the checkpoint's."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1), NOT_SEMANTIC] = 0.9
    """Share of the GPU's total memory for weights, activations and KV cache (on a CPU: of the machine's memory). The
    engine does not start if less is free."""
    tensor_parallel_size: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """GPUs over which one copy of the model is split."""
    max_num_seqs: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1024
    """Most samples in flight."""
    enforce_eager: Annotated[bool, NOT_SEMANTIC] = False
    """Skip compilation and CUDA graphs: a faster start, slower tokens."""
    timeout_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 1800.0
    """An engine that finishes no sample for this long counts as hung."""
    options: Annotated[dict[str, Any], LATER] = Field(default={})
    """More engine arguments of vLLM by their names in Python, such as `quantization: fp8`, `kv_cache_dtype: fp8` or
    `speculative_config: {method: ngram, num_speculative_tokens: 4, prompt_lookup_max: 4}`. All are in the key."""

    @field_validator("options")
    @classmethod
    def _known(cls, options: dict[str, Any]) -> dict[str, Any]:
        check_options(options, cls.model_fields)
        return options

    def gpus(self) -> int:
        return self.tensor_parallel_size


class OpenAIConfig(EngineSettings):
    """Servers that speak OpenAI's completions protocol and return token ids, as `vllm serve` does."""

    kind: Literal["openai"]
    base_urls: Annotated[list[ServerUrl], Field(min_length=1), NOT_SEMANTIC]
    """Addresses, up to `/v1`; requests are spread over them."""
    model: str
    """Name of the model on the servers. Its tokenizer is that of the stage's model."""
    max_model_len: int = Field(gt=1)
    """Longest prompt and sample together, in tokens, as the servers were started."""
    api_key_env: Annotated[str, NOT_SEMANTIC] = ""
    """Name of the environment variable with the key; empty for none. The key itself is written to no file."""
    concurrency: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 256
    """Requests in flight."""
    timeout_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 600.0
    """Time limit of one request."""
    retries: Annotated[int, Field(ge=0), NOT_SEMANTIC] = 6
    """How often a request is retried after an overload, a server error or a lost connection."""
    backoff_s: Annotated[float, Field(ge=0), NOT_SEMANTIC] = 0.5
    """Wait before the first retry; doubles with each, up to a minute. A longer Retry-After of the server wins."""

    def gpus(self) -> int:
        return 0


class ScriptedConfig(EngineSettings):
    """Fixed responses instead of a model, for tests and for writing policies."""

    kind: Literal["scripted"]
    responses: dict[str, list[str]]
    """End of a prompt's text to its possible responses. The longest matching end counts; the seed chooses."""
    max_model_len: int = Field(4096, gt=1)
    """Longest prompt and sample together, in tokens."""

    def gpus(self) -> int:
        return 0


class PythonConfig(EngineSettings):
    """Your own engine."""

    kind: Literal["python"]
    devices: Annotated[int, Field(ge=0), NOT_SEMANTIC] = 1
    """GPUs that one engine needs; on a machine with GPUs it sees only these."""
    target: Annotated[str, UserCode("engine", "E605", "code", arguments=2)] = Field(pattern=r"^[\w.]+:\w+$")
    """`package.module:Class`, an `astro_factory.engines.Engine` that is called with (options, model folder)."""
    code: str = Field(default_factory=lambda known: code_digest(known.get("target", "")))
    """Digest of the source of `target` and of what it imports from its own package, so that a changed source changes
    the key. Write something else, such as a version, to decide yourself when results are stale."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options for the class."""

    def gpus(self) -> int:
        return self.devices


ENGINES = KindRegistry(
    "astro_factory.engines",
    "engine",
    "E605",
    {
        "transformers": "astro_factory.engines.transformers_engine:TransformersEngine",
        "vllm": "astro_factory.engines.vllm_engine:VllmEngine",
        "openai": "astro_factory.engines.openai_engine:OpenAIEngine",
        "scripted": "astro_factory.engines.scripted_engine:ScriptedEngine",
        "python": "",
    },
    base=EngineSettings,
    needs=["open_engine"],
)
"""Other packages add a module with a `Config` and `open_engine(config, folder)`."""

EngineConfig = Annotated[
    TransformersConfig | VllmConfig | OpenAIConfig | ScriptedConfig | PythonConfig,
    Field(discriminator="kind"),
    OpenUnion(ENGINES),
]
EngineField = Annotated[EngineConfig, Definition("engines")]
