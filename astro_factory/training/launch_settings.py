"""Settings of the processes that train together: their number, their nodes, and how they shard."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from astro_factory.core.config import LATER, NOT_SEMANTIC, ROUNDING, Config


class DeepSpeed(Config):
    """DeepSpeed's sharding of state that data-parallel processes would otherwise duplicate."""

    zero_stage: Literal[1, 2, 3] = 2
    """1 shards optimizer states, 2 gradients too, 3 weights too."""
    offload_optimizer: Annotated[bool, ROUNDING] = False
    """Whether to keep optimizer states in main memory instead of on the device."""
    gradient_dtype: Literal["fp32", "bf16"] = "fp32"
    """Type in which micro-batches' gradients are added up. `bf16` takes half the memory and loses small gradients."""


class FSDP(Config):
    """PyTorch's own sharding of weights, gradients and optimizer states (FSDP2). It needs GPUs."""

    reshard_after_forward: bool = True
    """Whether to shard a layer's weights again after its forward pass; without it they stay whole until the backward
    pass, which takes more memory and less communication."""


class Launch(Config):
    """How many processes train together. Their number is part of the key: sums in another order give other bits."""

    processes: int = Field(default=1, ge=1)
    """Data-parallel processes of all nodes: one for each GPU, or a few on a CPU (gloo). They divide a step's batch."""
    nodes: Annotated[int, NOT_SEMANTIC] = Field(default=1, ge=1)
    """Machines that train together, each with as many of the processes. With more than one, run `astro-factory launch`
    on each, or use `backend: ray`. The store must be a folder that all of them share."""
    backend: Annotated[Literal["local", "ray"], NOT_SEMANTIC] = "local"
    """Where the processes run: on this machine, or on nodes of the Ray cluster at `RAY_ADDRESS`."""
    rendezvous_s: Annotated[float, NOT_SEMANTIC] = Field(default=600.0, gt=0)
    """How long nodes wait for each other before they train."""
    deepspeed: DeepSpeed | None = None
    """Shard with DeepSpeed; by default the processes use plain data parallelism (DDP)."""
    fsdp: Annotated[FSDP | None, LATER] = None
    """Shard with FSDP2 instead of DeepSpeed, in `sft`. Each process loads the whole model before it is sharded."""
    device: Annotated[Literal["auto", "cpu"], NOT_SEMANTIC] = "auto"
    """`auto` gives each process a GPU on a machine that has GPUs; `cpu` trains on the CPU everywhere."""

    @model_validator(mode="after")
    def _divisible(self) -> "Launch":
        if self.processes % self.nodes:
            raise ValueError(f"processes ({self.processes}) must be a multiple of nodes ({self.nodes})")
        return self

    @model_validator(mode="after")
    def _one_sharding(self) -> "Launch":
        if self.fsdp and self.deepspeed:
            raise ValueError("fsdp and deepspeed both shard; choose one")
        if self.fsdp and self.processes == 1:
            raise ValueError("fsdp shards among processes; set processes to the number of GPUs")
        return self

    @property
    def is_distributed(self) -> bool:
        """Whether training needs the launcher; DeepSpeed and Ray need it even for one process."""
        return self.processes > 1 or self.deepspeed is not None or self.backend == "ray"

    @property
    def processes_per_node(self) -> int:
        return self.processes // self.nodes

    @property
    def gpus_per_node(self) -> int:
        """GPUs that the processes of a node need."""
        return 0 if self.device == "cpu" else self.processes_per_node
