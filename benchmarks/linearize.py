"""Traces per second of linearization, and what its checks and segments cost against plain Jinja.

    python -m benchmarks.linearize --quick --json

The same traces are made in turns: by `traces` (node sequence, sandboxed blocks, segments, row), and worded by one
unsandboxed Jinja template that writes the whole response from ready node sequences. The texts are compared.
The last line is JSON; `ratio_to_plain_jinja` is our wording's rate (sequences left out) over plain Jinja's.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

from jinja2 import Environment

from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.trees import Node, Tree
from astro_factory.traces.branches import Mixture
from astro_factory.traces.ends import Terminals
from astro_factory.traces.render import render, text_of
from astro_factory.traces.sequence import SequenceOptions, sequence
from astro_factory.traces.table import trace_row
from astro_factory.traces.templating import compile_template
from astro_factory.traces.wording import Wording, seeded

OPTIONS = SequenceOptions(Mixture(natural=0.6, uniform=(0, 6)))
PLAIN = """
{%- macro check(node, phrases) -%}
{% set result, target = node.facts.result | int, node.facts.target | int -%}
{{ phrases[choose(3)] }} {{ [result, target] | max }} - {{ [result, target] | min }} = {{ (result - target) | abs }}
{%- endmacro -%}
{%- set phrases = ["Wait ,", "But wait , are we correct so far ?", "Let us check ."] -%}
{%- for before, here in pairs -%}
{%- if nodes[here].parent == before -%}
{{ nodes[here].text }}
{% else -%}
{{ check(nodes[before], phrases) }} No . Go back to where we had {{ nodes[here].facts.left }}
{% endif -%}
{%- endfor -%}
{{ check(nodes[pairs[-1][1]], phrases) }} Yes .
{{ nodes[pairs[-1][1]].closing }}"""


def make_tree(index: int) -> Tree:
    """Two levels like a three-number puzzle's: six first steps, four ends below each, one in five of them right."""
    rng = random.Random(index)
    target = rng.randint(10, 40)
    problem = Problem(f"p{index}", f"numbers 4 10 3 target {target}", str(target), "countdown")
    tree = Tree(problem, [Node(-1, "", facts={"left": "4 10 3", "target": str(target)})])
    for _ in range(6):
        first, parent = rng.randint(0, 40), len(tree.nodes)
        facts = {"left": f"4 {first}", "result": str(first), "target": str(target)}
        tree.nodes.append(Node(0, f"10 + 3 = {first} left 4 {first}", prior=rng.random(), facts=facts))
        for k in range(4):
            end = target if k == parent // 5 % 5 else rng.randint(0, 40)
            facts = {"left": str(end), "result": str(end), "target": str(target)}
            node = Node(parent, f"4 + {first} = {end} left {end}", rng.random(), terminal=True, facts=facts)
            node.verdict, node.answer = ("correct" if end == target else "incorrect"), str(end)
            node.closing = f"answer 4 + {first}"
            tree.nodes.append(node)
    return tree


def timed(function: Callable[[], list], count: int) -> tuple[float, list]:
    """Items per second of a function that makes `count` of them, and what it made."""
    start = time.perf_counter()
    made = function()
    return count / (time.perf_counter() - start), made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds instead of half a minute")
    parser.add_argument("--json", action="store_true", help="only the last line")
    arguments = parser.parse_args()
    trees = [make_tree(index) for index in range(100 if arguments.quick else 1000)]
    wording = Wording(compile_template("reflection/countdown.jinja", [shipped_folder("templates")]))
    plain = Environment(trim_blocks=False).from_string(PLAIN)
    count = 5 * len(trees)

    def sequences() -> list:
        drawn = [(tree, Terminals(tree)) for tree in trees]
        return [(tree, sequence(tree, OPTIONS, seed, ends), seed) for tree, ends in drawn for seed in range(5)]

    def ours() -> list:
        return [text_of(render(tree, visited, wording, seed)) for tree, visited, seed in ready]

    def plainly() -> list:
        return [
            plain.render(nodes=tree.nodes, pairs=list(pairwise(visited)), choose=seeded(seed))
            for tree, visited, seed in ready
        ]

    def rows() -> list:
        return [trace_row(t, visited, render(t, visited, wording, seed), "t", seed) for t, visited, seed in sequences()]

    ready = sequences()
    rates: dict[str, list[float]] = {"rows": [], "ours": [], "plain": []}
    for round_ in range(3 if arguments.quick else 5):
        for name, function in (("rows", rows), ("ours", ours), ("plain", plainly)):
            rate, made = timed(function, count)
            rates[name].append(rate)
            if name == "ours":
                texts = made
        assert made == texts, "plain Jinja words the traces differently"
        if not arguments.json:
            print(f"round {round_}: " + ", ".join(f"{name} {rate[-1]:,.0f}/s" for name, rate in rates.items()))
    ratio = statistics.median(ours / plain for ours, plain in zip(rates["ours"], rates["plain"], strict=True))
    figures = {
        "traces_per_s": round(statistics.median(rates["rows"])),
        "ratio_to_plain_jinja": round(ratio, 3),
        "segments_per_trace": round(sum(text.count("\n") + 1 for text in texts) / count, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
