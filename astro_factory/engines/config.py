"""The kinds of engine and their settings: `engines:` in a spec.

What moves only speed and memory is not semantic: a hit does not ask on what machine the result was made.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from astro_factory.core.config import NOT_SEMANTIC, Config, Definition
from astro_factory.core.registry import KindRegistry, OpenUnion
from astro_factory.core.user_code import code_digest


class EngineSettings(Config):
    """The base of every engine's configuration. Subclasses add `kind: Literal[...]` and their fields."""

    def cores(self) -> int:
        """CPU cores that one engine keeps busy."""
        return 1

    def context_length(self) -> int | None:
        """Longest prompt and sample together, in tokens; None if only the model determines it."""
        return getattr(self, "max_model_len", None)


class TransformersConfig(EngineSettings):
    """The model in this process, by our own batched loop over transformers' modules; for CPUs and single GPUs."""

    kind: Literal["transformers"]
    batch_size: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 256
    """Rows that are advanced at once. Samples have the same bits for any value (Llama models, CPU, float32)."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights while sampling; `auto` is what the checkpoint holds."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], NOT_SEMANTIC] = "auto"
    """Where the model runs; `auto` is a GPU if there is one."""
    threads: int = Field(1, gt=0)
    """CPU threads. Several processes of one thread each are faster for small models."""
    max_model_len: int | None = Field(None, gt=1)
    """Longest prompt and sample together, in tokens; default: what the model allows."""

    def cores(self) -> int:
        return self.threads


class VllmConfig(EngineSettings):
    """vLLM as a library, with prefix caching; for GPUs. Its results are recorded, not reproducible to the bit."""

    kind: Literal["vllm"]
    max_model_len: int | None = Field(None, gt=1)
    """Longest prompt and sample together, in tokens; default: what the model allows."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights; `auto` is what the checkpoint holds."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1), NOT_SEMANTIC] = 0.9
    """Share of the GPU's memory to take (on CPU: of the memory of the machine)."""
    tensor_parallel_size: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """GPUs that share one copy of the model."""
    max_num_seqs: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1024
    """Samples in flight at most."""
    enforce_eager: Annotated[bool, NOT_SEMANTIC] = False
    """Skip compilation and CUDA graphs: a faster start, slower tokens."""
    timeout_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 1800.0
    """An engine that ends no sample for so long counts as hung."""


class OpenAIConfig(EngineSettings):
    """Servers that speak OpenAI's completions protocol and return token ids, as `vllm serve` does."""

    kind: Literal["openai"]
    base_urls: Annotated[list[str], Field(min_length=1), NOT_SEMANTIC]
    """Addresses up to `/v1`; requests are spread over them."""
    model: str
    """The model's name on the servers; its tokenizer is that of the stage's model."""
    max_model_len: int = Field(gt=1)
    """Longest prompt and sample together, in tokens, as the servers were started with."""
    api_key_env: Annotated[str, NOT_SEMANTIC] = ""
    """Name of the environment variable that holds the key; empty for none. The key itself is in no file."""
    concurrency: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 256
    """Requests in flight."""
    timeout_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 600.0
    """Limit of one request."""
    retries: Annotated[int, Field(ge=0), NOT_SEMANTIC] = 6
    """How often a request is sent again after an overload, a server's error or a lost connection."""
    backoff_s: Annotated[float, Field(ge=0), NOT_SEMANTIC] = 0.5
    """Wait before the first retry; doubles with each, up to a minute. A server's Retry-After counts if longer."""


class ScriptedConfig(EngineSettings):
    """Fixed responses instead of a model, for tests and for writing policies."""

    kind: Literal["scripted"]
    responses: dict[str, list[str]]
    """How the prompt's text ends, and the possible samples: the longest end that fits counts, the seed chooses."""
    max_model_len: int = Field(4096, gt=1)
    """Longest prompt and sample together, in tokens."""


class PythonConfig(EngineSettings):
    """An engine of one's own."""

    kind: Literal["python"]
    target: str = Field(pattern=r"^[\w.]+:\w+$")
    """`package.module:Class`, an `astro_factory.engines.Engine` that is made from (options, model folder)."""
    code: str = Field(default_factory=lambda known: code_digest(known.get("target", "")))
    """Digest of the source of `target` and of what it imports of its own package, so that a changed source is a changed
    key. Write something else, such as a version, to decide yourself when it has changed."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the class is given."""


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
