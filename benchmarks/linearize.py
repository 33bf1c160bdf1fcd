"""Traces per second of linearization with the paper's template, and the cost of checks and segments over plain Jinja.

    python -m benchmarks.linearize --quick --json     # the functions, in a few seconds
    python -m benchmarks.linearize                    # also the stage, from 1,000 to 1,000,000 traces

The same traces are made alternately by `traces` (node sequence, sandboxed blocks, segments, filters, row) and by one
plain Jinja template that renders the whole response from given node sequences. The texts are compared. The last line
is JSON: `ratio_to_plain_jinja` is the time of our rendering (without sequences and rows) over that of plain Jinja, the
median of several rounds in one process; `stage` has traces per second and peak memory by number of traces.
"""

import argparse
import json
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment

from astro_factory.core.context import Events, Items, StageContext
from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.tables import write_table
from astro_factory.core.trees import Tree, TreeNode, tree_schema
from astro_factory.stages import linearize
from astro_factory.traces.branch_counts import Mixture
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.sequence import SequenceOptions, sample_sequence
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer
from astro_factory.traces.terminals import Terminals
from astro_factory.traces.trace_filters import TraceFilter
from astro_factory.traces.trace_table import trace_row

PER_TREE = 5
BRANCHES = Mixture(natural=0.6, uniform=(0, 6))
PLAIN = """
{%- for before, here in pairs -%}
{%- if nodes[here].parent == before -%}
{{ nodes[here].text }}
{% else -%}
But wait, are we solving the problem correctly so far? Hmm... \
I'm not sure if we're solving the problem correctly so far. \
{% if here == 0 %}Let's restart our solution from the beginning.{% else -%}
Let's go back to where we wrote "{{ nodes[here].text | replace("\n", " ") | truncate(100, leeway=0, end="...") }}"
{%- endif %}
{% endif -%}
{%- endfor -%}
But wait, are we solving the problem correctly so far? Hmm... Our solution seems to be correct so far.
{{ nodes[pairs[-1][1]].closing }}"""


def make_tree(index: int) -> Tree:
    """Two levels like a three-number puzzle's: six first steps, four ends below each, one in five of them right."""
    rng = random.Random(index)
    target = rng.randint(10, 40)
    problem = Problem(f"p{index}", f"numbers 4 10 3 target {target}", str(target), "countdown")
    tree = Tree(problem, [TreeNode(-1, "", facts={"left": "4 10 3", "target": str(target)})])
    for _ in range(6):
        first, parent = rng.randint(0, 40), len(tree.nodes)
        facts = {"left": f"4 {first}", "result": str(first), "target": str(target)}
        tree.nodes.append(TreeNode(0, f"10 + 3 = {first} left 4 {first}", prior=rng.random(), facts=facts))
        for k in range(4):
            end = target if k == parent // 5 % 5 else rng.randint(0, 40)
            facts = {"left": str(end), "result": str(end), "target": str(target)}
            node = TreeNode(parent, f"4 + {first} = {end} left {end}", rng.random(), terminal=True, facts=facts)
            node.verdict, node.answer = ("correct" if end == target else "incorrect"), str(end)
            node.closing = f"answer 4 + {first}"
            tree.nodes.append(node)
    return tree


def timed(function: Callable[[], list], count: int) -> tuple[float, list]:
    """Items per second of a core, whatever else runs there, of a function that makes `count`; and what it made."""
    start = time.process_time()
    made = function()
    return count / (time.process_time() - start), made


def functions(trees: list[Tree], rounds: int, quiet: bool) -> dict[str, float]:
    """Rates of the functions alone, ours and plain Jinja's, in turns."""
    template = compile_template("reflection/paper.jinja", [shipped_folder("templates")])
    wording, screen = TemplateRenderer(template), TraceFilter(template)
    plain = Environment(trim_blocks=False).from_string(PLAIN)
    options, count = SequenceOptions(BRANCHES), PER_TREE * len(trees)

    def sequences() -> list:
        drawn = [(tree, Terminals(tree)) for tree in trees]
        return [
            (tree, sample_sequence(tree, options, seed, ends), seed) for tree, ends in drawn for seed in range(PER_TREE)
        ]

    def row(tree: Tree, visited: list[int], seed: int) -> dict:
        segments = render(tree, visited, wording, seed)
        text = trace_text(segments)
        assert not screen.drop_reason(tree, visited, segments, text)
        return trace_row(tree, visited, segments, "t", seed, text)

    ready = sequences()
    kinds: dict[str, Callable[[], list]] = {
        "rows": lambda: [row(*item) for item in sequences()],
        "ours": lambda: [trace_text(render(tree, visited, wording, seed)) for tree, visited, seed in ready],
        "plain": lambda: [plain.render(nodes=tree.nodes, pairs=list(pairwise(way))) for tree, way, _ in ready],
    }
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    texts = []
    for round_ in range(rounds):
        for name, function in kinds.items():
            rate, made = timed(function, count)
            rates[name].append(rate)
            if name == "ours":
                texts = made
        assert made == texts, "plain Jinja words the traces differently"
        if not quiet:
            print(f"round {round_}: " + ", ".join(f"{name} {rate[-1]:,.0f}/s" for name, rate in rates.items()))
    ratio = statistics.median(plain / ours for ours, plain in zip(rates["ours"], rates["plain"], strict=True))
    return {
        "traces_per_s": round(statistics.median(rates["rows"])),
        "ratio_to_plain_jinja": round(ratio, 3),
        "segments_per_trace": round(sum(text.count("\n") + 1 for text in texts) / count, 1),
    }


def write_trees(trees: list[Tree], count: int, folder: Path) -> None:
    """A table of that many trees."""
    folder.mkdir()
    write_table(folder / "trees.parquet", _many(trees, count), tree_schema())


def stage(source: Path, out: Path) -> dict[str, float]:
    """The whole stage over a table of trees: Parquet to Parquet."""
    out.mkdir()
    template = compile_template("reflection/paper.jinja", [shipped_folder("templates")])
    fields = {"per_problem": PER_TREE, "wrong_branches": BRANCHES.model_dump()}
    config = linearize.Config(kind="linearize", trees="trees", template=template, **fields)
    start = time.process_time()
    linearize.run(StageContext("traces", {"trees": source}, {}, out, out, _NoItems(), NoEvents()), config)
    made = json.loads((out / "statistics.json").read_text())["traces"]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return {"traces_per_s": round(made / (time.process_time() - start)), "peak_mb": round(kilobytes / 1024)}


def _many(trees: list[Tree], count: int) -> Iterator[dict]:
    rows = [tree.as_row() for tree in trees]
    for index in range(count):
        row = rows[index % len(rows)]
        yield row | {"problem": row["problem"] | {"id": f"p{index}"}}


class _NoItems(Items):
    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes) -> None:
        pass


class NoEvents(Events):
    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        pass

    def metric(self, step: int, values: dict) -> None:
        pass

    def log(self, text: str) -> None:
        pass


def alone(function: Callable, *arguments: Any) -> Any:
    """What a function gives in a process of its own, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds: the functions alone")
    parser.add_argument("--json", action="store_true", help="only the last line")
    arguments = parser.parse_args()
    trees = [make_tree(index) for index in range(100 if arguments.quick else 1000)]
    trees = [tree for tree in trees if Terminals(tree).correct]
    figures: dict = functions(trees, 5, arguments.json)
    if not arguments.quick:
        figures["stage"] = {}
        with tempfile.TemporaryDirectory() as folder:
            for count in (1000, 10_000, 100_000, 1_000_000):
                source, out = Path(folder, f"trees-{count}"), Path(folder, f"traces-{count}")
                alone(write_trees, trees, count // PER_TREE, source)
                figures["stage"][count] = alone(stage, source, out)
                if not arguments.json:
                    print(f"{count:,} traces: {figures['stage'][count]}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
