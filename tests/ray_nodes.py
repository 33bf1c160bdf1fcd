"""Ray clusters on this machine for tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_STORE_BYTES = 80 << 20


def node(**resources: Any) -> dict[str, Any]:
    """The arguments of a node with these resources and a small object store."""
    return {"object_store_memory": _STORE_BYTES, **resources}


def join(address: str, num_cpus: int) -> subprocess.Popen[bytes]:
    """Add a node to a cluster from any thread; it lives as long as the process."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}", "--block"]
    resources = [f"--num-cpus={num_cpus}", f"--object-store-memory={_STORE_BYTES}"]
    return subprocess.Popen([*command, *resources], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def cluster_of(*nodes: dict[str, Any]) -> Iterator[tuple[Any, list[Any]]]:
    """A cluster with these nodes, whose driver is this process; yields it and all nodes but the first, its head."""
    import ray
    from ray.cluster_utils import Cluster

    first, *others = nodes
    cluster = Cluster(initialize_head=True, head_node_args=first | {"include_dashboard": False})
    try:
        more = [cluster.add_node(**node) for node in others]
        variables = {"PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in sys.path), "PYTHONHASHSEED": "0"}
        ray.init(address=cluster.address, runtime_env={"env_vars": variables}, log_to_driver=False)
        yield cluster, more
    finally:
        ray.shutdown()
        cluster.shutdown()
