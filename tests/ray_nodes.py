"""Ray clusters on this machine for tests."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def node(**resources: Any) -> dict[str, Any]:
    """The arguments of a node with these resources and a small object store."""
    return {"object_store_memory": 80 << 20, **resources}


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
