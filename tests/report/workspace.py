"""A spec with every kind of output in a real store; models and samples are written here, the rest is built."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from astro_factory.core.plans import Plan, PlannedNode, ToRun
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.core.trees import tree_schema
from astro_factory.core.votes import vote_schema
from astro_factory.evaluation.analysis import analysis_from_samples
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.report import report_from_samples
from astro_factory.evaluation.samples import sample_schema
from astro_factory.plan import make_plan
from astro_factory.report import BuiltSpec, built_spec
from astro_factory.runtime import build
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from tests.traces.trees import countdown_tree

SPEC = """\
factory: 1
name: small
problems:
  train: {kind: countdown, count: 4}
  test: {kind: countdown, count: 6, split: test}
models:
  blank: {kind: init, architecture: {hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1,
    num_key_value_heads: 1, intermediate_size: 8, max_position_embeddings: 64}, vocabulary: {numbers: 9, words: [a]}}
engines:
  cpu: {kind: transformers}
search_policies:
  small: {kind: mcts, iterations: 2, expansions: 2}
templates:
  talk: reflection/countdown.jinja
  direct: reflection/direct.jinja
suites:
  puzzles: {problems: [test], samples: 2, max_tokens: 50, metrics: [pass@1]}
stages:
  trees: {kind: search, policy: small, model: blank, engine: cpu, problems: train}
  traces: {kind: linearize, trees: trees, template: talk, per_problem: 3, wrong_branches: [1, 3]}
  direct: {kind: linearize, trees: trees, template: direct, match_count: traces}
  astro_sft: {kind: sft, model: blank, data: traces, learning_rate: 0.1}
  direct_sft: {kind: sft, model: blank, data: direct, learning_rate: 0.1}
  astro_rl: {kind: grpo, model: astro_sft, problems: train, steps: 3, prompts_per_step: 2, group_size: 2,
    max_new_tokens: 50, learning_rate: 0.1}
  report: {kind: evaluate, suite: puzzles, engine: cpu, arms: [direct_sft, astro_sft, astro_rl], backtracks: talk,
    compare: [[astro_sft, direct_sft], [astro_rl, astro_sft]]}
sweeps:
  words: {axes: {stages.traces.per_problem: [3, 2], stages.report.seed: [0, 1]}, compare: report,
    baseline: {stages.traces.per_problem: 3, stages.report.seed: 0}}
"""
JUDGE = """\
  votes: {kind: judge, trees: trees, model: blank, engine: cpu, prompt: judge/countdown.jinja, in_favour: "Yes",
    ends: ENDS}
"""
RIGHT = "10 + 3 = 13 left 4 13\\n4 + 13 = 17 left 17\\nanswer 4 + ( 10 + 3 )".replace("\\n", "\n")
BACK = (
    "10 - 3 = 7 left 4 7\n7 - 4 = 3 left 3\nBut wait , are we correct so far ? 17 - 3 = 14 No . "
    "Go back to where we had 4 10 3\n10 + 3 = 13 left 4 13\nNo . Go back to where we had 9 9\n"
    "4 + 13 = 17 left 17\nanswer 4 + ( 10 + 3 )"
)


def samples(texts: Mapping[str, Sequence[str]] | None = None) -> Iterator[dict]:
    """Two samples of six problems by three arms: direct solves the even problems, astro_sft the others, RL all but one.

    `texts`: arm to texts that take the place of the first ones.
    """
    for arm in ("direct_sft", "astro_sft", "astro_rl"):
        own = list((texts or {}).get(arm, ()))
        for number in range(6):
            solved = {"direct_sft": number % 2 == 0, "astro_sft": number % 2 == 1, "astro_rl": number != 1}[arm]
            for sample in range(2):
                text = own.pop(0) if own else (RIGHT if arm == "direct_sft" else BACK)
                back = 0 if arm == "direct_sft" else 2
                yield {
                    "source": "test", "problem": f"p{number}", "level": "3 numbers", "cluster": f"c{number}",
                    "verifier": "countdown", "arm": arm, "sample": sample, "seed": number, "text": text,
                    "tokens": 10 + number, "finish": "length" if number == 5 else "eos",
                    "outcome": "correct" if solved else "incorrect", "extracted": "17", "detail": "",
                    "backtracks": back, "dead_ends": back // 2, "revisited": 0, "unresolved": back // 2,
                }  # fmt: skip


def problem(number: int, question: str = "numbers 4 10 3 target 17") -> Problem:
    return Problem(f"p{number}", question, "17", "countdown", {"numbers": [4, 10, 3], "target": 17}, "3 numbers")


def _model(steps: int) -> Callable[[Path, PlannedNode], list[dict]]:
    def write(folder: Path, item: PlannedNode) -> list[dict]:
        (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "hidden_size": 8}))
        names = ("reward", "length", "alarms") if item.node.kind == "grpo" else ("loss", "accuracy")
        points = [{"step": step} | {name: (name != "alarms") * step / 10 for name in names} for step in range(1, steps)]
        said = [{"problem": "p0", "text": f"<b>{number}</b>", "verdict": "correct", "reward": 1.0} for number in (0, 1)]
        shown = [{"step": step, "rollouts": said} for step in (1, 20)] if item.node.kind == "grpo" else []
        return points + shown

    return write


def make_store(
    root: Path,
    rows: Sequence[dict] | None = None,
    question: str = "numbers 4 10 3 target 17",
    traces: str = "",
    sweep: str | None = None,
    make_model: Callable[[Path], object] | None = None,
    steps: str = "",
    judge: str = "",
) -> Store:
    """A store beside `spec.yaml` in which everything of the spec or of a sweep is built.

    `traces` are more fields of that stage; `make_model` writes models that can answer; `steps` is the
    format of the steps of responses; `judge` adds the stage `votes` with these ends (`correct` or `all`).
    """
    (root / "spec.yaml").write_text(SPEC.replace("[1, 3]}", f"[1, 3], {traces}}}") if traces else SPEC)
    if judge:
        path = root / "spec.yaml"
        path.write_text(path.read_text().replace("sweeps:\n", JUDGE.replace("ENDS", judge) + "sweeps:\n"))
    if steps:
        path, answers = root / "spec.yaml", f"response_steps: {{format: {steps}}}, compare: [[astro_sft"
        path.write_text(path.read_text().replace("compare: [[astro_sft", answers))
    store = Store(root / "store")
    rows = list(samples()) if rows is None else rows

    def problems(folder: Path, item: PlannedNode) -> list[dict]:
        names = sorted({row["problem"] for row in rows}) if own(item) == "test" else ["p0", "p1", "p2", "p3"]
        write_table(folder / "problems.parquet", [problem(int(name[1:]), question).as_row() for name in names],
                    problem_schema())  # fmt: skip
        return []

    def trees(folder: Path, item: PlannedNode) -> list[dict]:
        found = [countdown_tree(name=f"p{number}") for number in range(4)]
        for tree in found:
            tree.tokens, tree.iterations = 70, 2
        write_table(folder / "trees.parquet", [tree.as_row() for tree in found], tree_schema())
        (folder / "statistics.json").write_text(json.dumps({"trees": 4, "solved": 4, "tokens": 280}))
        return []

    def report(folder: Path, item: PlannedNode) -> list[dict]:
        comparison = item.node.config
        assert isinstance(comparison, Comparison)
        write_table(folder / "samples.parquet", rows, sample_schema())
        (folder / "report.json").write_text(report_from_samples(rows, comparison).to_json())
        (folder / "analysis.json").write_text(analysis_from_samples(rows, comparison).to_json())
        return []

    def votes(folder: Path, item: PlannedNode) -> list[dict]:
        """Wrong ends get 8, 7, … votes, correct ones 0, 1, …"""
        every, found = judge == "all", []
        for number in range(4):
            nodes = countdown_tree().nodes
            ends = [index for index, node in enumerate(nodes) if node.terminal]
            for index in [end for end in ends if every or nodes[end].verdict == "correct"]:
                correct, own = nodes[index].verdict == "correct", len(found) % 9
                row = {"problem_id": f"p{number}", "node": index, "votes": 8, "in_favour": own if correct else 8 - own}
                found.append(row | ({"verdict": nodes[index].verdict, "answer": nodes[index].answer} if every else {}))
        write_table(folder / "votes.parquet", found, vote_schema(verdicts=every))
        return []

    writers = {
        "blank": _model(0),
        "train": problems,
        "test": problems,
        "trees": trees,
        "votes": votes,
        "report": report,
    }
    writers |= {name: _model(30) for name in ("astro_sft", "direct_sft", "astro_rl")}
    while item := next((item for item in planned(root, sweep=sweep).nodes.values() if isinstance(item, ToRun)), None):
        if item.node.kind == "linearize":
            assert build(planned(root, item.node.name, sweep), store, lambda name, event: None).ok
            continue
        folder = store.staging(item.key) / "out"
        folder.mkdir(parents=True)
        metrics = writers[own(item)](folder, item)
        if make_model and item.node.section == "stages" and (folder / "config.json").exists():
            make_model(folder)
        provenance = {"seconds": 1.5, "tokens": 100, "calls": 10, "metrics": metrics, "started": "2026-01-01T00:00:00"}
        store.commit(item.key, item.record, folder, provenance)
    return store


def own(item: PlannedNode) -> str:
    """The name in the spec of a variant's stage."""
    return item.node.name.partition("[")[0]


def planned(root: Path, target: str | None = None, sweep: str | None = None) -> Plan:
    return make_plan(
        compile_spec(root / "spec.yaml", sweep=sweep), Store(root / "store"), targets=[target] if target else None
    )


def built(root: Path, sweep: str | None = None) -> BuiltSpec:
    return built_spec(planned(root, sweep=sweep), Store(root / "store"))
