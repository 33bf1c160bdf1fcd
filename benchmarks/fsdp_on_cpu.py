"""FSDP2 on CPUs over gloo: the processes of a training stage, in which accelerate shards without GPUs.

    with sharding_on_cpus():
        sft.run(ctx, config)        # config.launch is {processes: 2, fsdp: {}}

On a CPU accelerate runs DDP in place of FSDP2. Here its one rule for that is changed, so that all that follows is its
own code as on GPUs: how it shards, clips, saves checkpoints and loads them again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from astro_factory.training import launch


@contextmanager
def sharding_on_cpus() -> Iterator[None]:
    """Have `run_distributed` start this program, and skip its check that there are GPUs."""
    with patch.object(launch, "PROGRAM", __name__), patch.object(launch, "torch_device", lambda: "cuda"):
        yield


def _shard_here() -> None:
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    begin = AcceleratorState.__init__

    def begin_as_on_gpus(state: AcceleratorState, *args: Any, **kwargs: Any) -> None:
        """`MULTI_GPU` becomes `FSDP` if there is a plugin for it; `MULTI_CPU` would become DDP."""
        if PartialState._shared_state.get("distributed_type") is DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        begin(state, *args, **kwargs)

    AcceleratorState.__init__ = begin_as_on_gpus


if __name__ == "__main__":
    _shard_here()
    launch.main()
