"""Small artifacts with the real schemas, and provenance as the builder writes it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astro_factory.core.canonical import digest
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.core.trees import Call, Tree, TreeNode, tree_schema
from astro_factory.traces.trace_table import trace_schema

Node = tuple[str, str, str, dict[str, Any]]
"""Name, section, kind and config of a record."""


def problem(index: int) -> Problem:
    return Problem(f"p{index}", f"numbers {index} 3 target 17", "17", "countdown", {"numbers": [index, 3]}, "2 numbers")


def tree(index: int) -> Tree:
    nodes = [
        TreeNode(-1, "", facts={"left": f"{index} 3"}),
        TreeNode(0, "10 + 3 = 13 left 13", terminal=True, verdict="incorrect", answer="13"),
        TreeNode(0, "14 + 3 = 17 left 17", terminal=True, verdict="correct", answer="17", closing="answer 14 + 3"),
    ]
    return Tree(
        problem(index), nodes, [Call(0, "rollout", 1, "0" * 64, (5, 7), (-0.5, -0.25))], tokens=20, iterations=2
    )


def trace(index: int, backtracks: int) -> dict[str, Any]:
    text = "Wait , no . Go back\n" * backtracks + "14 + 3 = 17 left 17\nanswer 14 + 3"
    messages = [{"role": "user", "content": problem(index).question}, {"role": "assistant", "content": text}]
    return {
        "problem_id": f"p{index}",
        "messages": messages,
        "template": "reflection/countdown.jinja",
        "node_sequence": [0, 1, 0, 2],
        "segments": [{"kind": "step", "text": text, "node": 2, "start": 0, "end": len(text)}],
        "num_backtracks": backtracks,
        "num_wrong": backtracks,
        "seed": 7,
    }


def make_data(folder: Path, count: int = 5) -> dict[str, Path]:
    """A folder for each kind of data artifact, by the artifact's name."""
    dialogue = {"id": "solve-0", "skill": "solve", "messages": trace(0, 0)["messages"]}
    tables = {
        "problems": ("problems.parquet", [problem(i).as_row() for i in range(count)], problem_schema()),
        "practice": ("dialogues.parquet", [dialogue] * count, dialogue_schema()),
        "trees": ("trees.parquet", [tree(i).as_row() for i in range(count)], tree_schema()),
        "traces": ("traces.parquet", [trace(i, i % 3) for i in range(count)], trace_schema()),
        "report": ("samples.parquet", [problem(i).as_row() for i in range(count)], problem_schema()),
    }
    for name, (table, rows, schema) in tables.items():
        (folder / name).mkdir(parents=True)
        write_table(folder / name / table, rows, schema)
    (folder / "report/report.json").write_text('{"arms": {}}\n')
    return {name: folder / name for name in tables}


def content_of(name: str) -> dict[str, str]:
    """How recorded configs refer to the output of a node of `make_provenance`."""
    return {"content": digest({"out": _output(name)["sha256"]})}


def _output(name: str) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(name.encode()).hexdigest(), "size": 1}


def make_provenance(folder: Path, base: str = "", nodes: Sequence[Node] = ()) -> Path:
    """`spec.yaml` and the records of one closure: a search, and a model `rl` that started from random weights or from
    a base model of the Hub, if named.

    Args:
        nodes: More nodes, as (name, section, kind, config).
    """
    (folder / "records").mkdir(parents=True)
    (folder / "spec.yaml").write_text("factory: 1\nname: tiny\n")
    start = ("hub", {"repo": base, "revision": "main"}) if base else ("init", {"seed": 0})
    training = {"model": content_of("base"), "problems": content_of("train"), "steps": 3, "learning_rate": 1e-4}
    upstream: list[Node] = [
        ("trees", "stages", "search", {"model": content_of("base")}),
        ("train", "problems", "countdown", {}),
        ("base", "models", *start),
        ("rl", "stages", "grpo", training | {"reward": {"correct": 1.0, "incorrect": -1.0}}),
    ]
    for name, section, kind, config in (*upstream, *nodes):
        record = {"scheme": 1, "section": section, "kind": kind, "version": 1, "config": config}
        entry = {"name": name, "key": digest(record), "record": record, "outputs": {"out": _output(name)}}
        (folder / "records" / f"{entry['key']}.json").write_text(json.dumps(entry, indent=1) + "\n")
    return folder
