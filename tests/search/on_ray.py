"""A search on a Ray cluster of two nodes, one of which is killed: `python -m tests.search.on_ray ROOT MODEL`."""

import json
import sys
import threading
import time
from pathlib import Path

from tests.search.killed import PROBLEMS, count
from tests.stages.test_search import LLAMA, Items, search

FEW = PROBLEMS[:60]


def main(root: Path, model: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    local = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=local | {"include_dashboard": False})
    second = cluster.add_node(**local)
    variables = {"PYTHONPATH": ":".join(part or "." for part in sys.path), "PYTHONHASHSEED": "0"}
    ray.init(address=cluster.address, runtime_env={"env_vars": variables}, log_to_driver=False)
    killed = []

    def kill() -> None:
        while count(root / "items") < 8:
            time.sleep(0.01)
        cluster.remove_node(second, allow_graceful=False)
        killed.append(count(root / "items"))

    threading.Thread(target=kill, daemon=True).start()
    items = Items(root / "items")
    search(root / "ray", model, FEW, items, LLAMA, backend="ray", processes=2, trees_in_flight=4)
    print(json.dumps({"killed_at": killed, "puts": items.puts}), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
