"""The state of each stage in a plan, with its reason; results are committed to the store as a build would."""

from dataclasses import replace
from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.plans import Plan, Status, ToRun, node_as_json
from astro_factory.core.results import Result
from astro_factory.plan import make_plan
from astro_factory.plan.locks import locked_commits, resolve_commits
from astro_factory.plan.preflight import preflight
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from astro_factory.store.exports import write_export

SPEC = """\
factory: 1
name: chain
models: {blank: {kind: init}, spare: {kind: hub, repo: org/never-needed}}
problems: {unused: {kind: countdown, count: 1}}
stages:
  drill: {kind: practice, count: 10}
  base: {kind: sft, model: blank, data: drill, learning_rate: 1e-3}
  tuned: {kind: sft, model: base, data: drill, learning_rate: 1e-3}
"""


class Bench:
    """A spec in a folder, a store, and a substitute for running: equal keys give equal files, except for `files`."""

    def __init__(self, folder: Path):
        self.folder, self.store = folder, Store(folder / "store")
        self.path = folder / "chain.yaml"
        self.path.write_text(SPEC)

    def plan(self, *sets: str, **options) -> Plan:
        return make_plan(compile_spec(self.path, sets=sets), self.store, **options)

    def statuses(self, *sets: str, **options) -> dict[str, str]:
        return {name: str(item.status) for name, item in self.plan(*sets, **options).nodes.items()}

    def run(self, plan: Plan, **files: str) -> dict[str, Result]:
        """Give every node a result."""
        results: dict[str, Result] = {}
        for name, item in plan.nodes.items():
            contents = {reference: results[reference].content for reference in item.node.references}
            item = plan.resolve(item.node, contents)
            if isinstance(item, ToRun):
                out = self.folder / "out" / f"{name}-{item.key}"
                out.mkdir(parents=True, exist_ok=True)
                for file in ("file", "config.json", "dialogues.parquet"):  # an import needs the files of its type
                    (out / file).write_text(files.get(name, f"made by {item.key}"))
                results[name] = self.store.commit(item.key, item.record, out, {})
            else:
                results[name] = item.result
        self.store.update_heads(plan.graph.name, {name: result.key for name, result in results.items()})
        return results

    def lose(self, result: Result) -> None:
        for sha256 in result.blobs:
            self.store.blob_path(sha256).unlink()


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def reasons(plan: Plan) -> dict[str, str]:
    return {name: item.reason for name, item in plan.nodes.items()}


def test_first_plan_runs_what_has_all_inputs_and_leaves_the_rest_pending(bench):
    plan = bench.plan()
    assert {name: str(item.status) for name, item in plan.nodes.items()} == {
        "blank": "run",
        "drill": "run",
        "base": "pending",
        "tuned": "pending",
    }
    assert plan.counts() == {"hit": 0, "run": 2, "pending": 2, "import": 0}
    assert reasons(plan) == {
        "blank": "never built",
        "drill": "never built",
        "base": "waits for blank, drill",
        "tuned": "waits for base, drill",
    }
    assert plan.nodes["blank"].key and plan.nodes["base"].key is None


def test_rows_for_machines(bench):
    rows = {row["name"]: row for row in (node_as_json(item) for item in bench.plan().nodes.values())}
    assert rows["tuned"] == {
        "name": "tuned",
        "section": "stages",
        "kind": "sft",
        "key": None,
        "status": "pending",
        "reason": "waits for base, drill",
        "changes": [],
        "needs": ["base", "drill"],
    }


def test_all_hits_after_a_run(bench):
    bench.run(bench.plan())
    assert set(bench.statuses().values()) == {"hit"}
    assert set(bench.statuses("stages.tuned.save_every=3", "stages.tuned.log_every=1").values()) == {"hit"}


def test_what_nothing_uses_is_not_planned_unless_it_is_all_there_is(bench):
    assert "unused" not in bench.plan().nodes and "spare" not in bench.plan().nodes
    bench.path.write_text("factory: 1\nname: chain\nproblems: {only: {kind: countdown, count: 1}}\n")
    assert list(bench.plan().nodes) == ["only"]


def test_targets_and_what_they_need(bench):
    assert set(bench.plan(targets=["base"]).nodes) == {"blank", "drill", "base"}


def test_reasons_name_the_field_that_moved(bench):
    bench.run(bench.plan())
    plan = bench.plan("stages.base.learning_rate=0.002", "stages.base.epochs=2", "stages.base.seed=7")
    assert str(plan.nodes["base"].status) == "run"
    assert plan.nodes["base"].reason == "epochs: 1 -> 2 (+2 more)"
    assert [str(change.kind) for change in plan.nodes["base"].changes] == ["config"] * 3
    assert plan.nodes["tuned"].reason == "waits for base"
    assert {name: str(plan.nodes[name].status) for name in ("blank", "drill")} == {"blank": "hit", "drill": "hit"}


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (["stages.base.max_grad_norm=2"], "max_grad_norm: 1.0 -> 2.0"),
        (["stages.base.launch.processes=2"], "launch.processes: 1 -> 2"),
        (
            ["stages.base.launch.deepspeed={}"],
            'launch.deepspeed: null -> {"gradient_dtype": "fp32", "offload_optimizer": false, "z...',
        ),
        (["stages.base.adam_betas=[0.9, 0.95]"], "adam_betas[1]: 0.999 -> 0.95"),
        (["stages.base.data=other", "stages.other={kind: practice, count: 11}"], "waits for other"),
    ],
)
def test_reason(bench, sets, reason):
    bench.run(bench.plan())
    wanted = reason if reason.startswith("waits") else f"{reason} (--set {sets[-1]})"
    assert bench.plan(*sets).nodes["base"].reason == wanted


def test_reason_names_the_line_of_a_template(bench):
    words = bench.folder / "words.jinja"
    words.write_text("{% block wrong %}\nHmm\n{% endblock %}\n")
    sets = ["models.blank.vocabulary.word_sources=[words.jinja]"]
    bench.run(bench.plan(*sets))
    words.write_text("{% block wrong %}\nOops\n{% endblock %}\n")
    reason = 'words.jinja:2: "Hmm" -> "Oops"'
    assert bench.plan(*sets).nodes["blank"].reason == reason


WORDED = """\
factory: 1
name: worded
models: {blank: {kind: init}}
problems: {train: {kind: countdown, count: 5}}
engines: {cpu: {kind: transformers}}
search_policies: {few: {kind: best_of_n, n: 2}}
templates: {mine: reflection/mine.jinja}
suites: {puzzles: {problems: [train], samples: 1}}
stages:
  trees: {kind: search, policy: few, model: blank, engine: cpu, problems: train}
  traces: {kind: linearize, trees: trees, template: mine}
  direct: {kind: linearize, trees: trees, template: reflection/direct.jinja, match_count: traces}
  tuned: {kind: sft, model: blank, data: traces, learning_rate: 1e-3}
  report: {kind: evaluate, suite: puzzles, engine: cpu, arms: [blank, tuned], backtracks: mine}
"""


def test_a_changed_word_runs_the_traces_and_what_follows_and_nothing_above(bench):
    bench.path.write_text(WORDED)
    words = bench.folder / "templates/reflection/mine.jinja"
    words.parent.mkdir(parents=True)
    words.write_text('{% extends "reflection/terse.jinja" %}\n{% block wrong %}\nNo .\n{% endblock %}\n')
    bench.run(bench.plan())
    words.write_text(words.read_text().replace("No .", "Not so ."))
    plan = bench.plan()
    hits = {name for name, item in plan.nodes.items() if item.status is Status.HIT}
    assert hits == {"blank", "train", "trees"}
    assert plan.nodes["traces"].reason == 'reflection/mine.jinja:3: "No ." -> "Not so ."'
    assert [str(change.kind) for change in plan.nodes["traces"].changes] == ["template"]
    waiting = {name: item.reason for name, item in plan.nodes.items() if item.status is Status.PENDING}
    assert waiting == {"direct": "waits for traces", "tuned": "waits for traces", "report": "waits for tuned"}


def test_reason_of_a_new_version_and_of_new_content(bench):
    bench.run(bench.plan())
    graph = compile_spec(bench.path)
    newer = replace(graph, nodes=graph.nodes | {"drill": replace(graph.nodes["drill"], version=99)})
    plan = make_plan(newer, bench.store)
    assert plan.nodes["drill"].reason.startswith("version: ") and plan.nodes["drill"].reason.endswith(" -> 99")
    drill, old = plan.nodes["drill"], bench.store.heads("chain")
    out = bench.folder / "new"
    out.mkdir()
    (out / "file").write_text("other text")
    bench.store.commit(drill.key, drill.record, out, {})
    assert make_plan(newer, bench.store).nodes["base"].reason == "data has new content"
    assert bench.store.heads("chain") == old


def test_early_cut_off(bench):
    """A stage that ran again and gave equal bytes leaves what follows as it was."""
    bench.run(bench.plan(), drill="the same")
    plan = bench.plan("stages.drill.seed=1")
    assert plan.nodes["drill"].status is Status.RUN and plan.nodes["base"].status is Status.PENDING
    results = bench.run(plan, drill="the same")
    contents = {"blank": results["blank"].content, "drill": results["drill"].content}
    assert plan.resolve(plan.nodes["base"].node, contents).status is Status.HIT
    assert set(bench.statuses("stages.drill.seed=1").values()) == {"hit"}


def test_files_that_no_stage_reads_may_be_missing(bench):
    results = bench.run(bench.plan())
    for name in ("blank", "drill", "base"):
        bench.lose(results[name])
    plan = bench.plan()
    assert set(bench.statuses().values()) == {"hit"}
    assert plan.nodes["base"].reason == "in the store, without its files"


def test_files_that_a_run_needs_are_made_again(bench):
    results = bench.run(bench.plan())
    for name in ("blank", "base"):
        bench.lose(results[name])
    plan = bench.plan("stages.tuned.seed=5")
    assert {name: str(item.status) for name, item in plan.nodes.items()} == {
        "blank": "run",
        "drill": "hit",
        "base": "run",
        "tuned": "run",
    }
    assert plan.nodes["base"].reason == "its files are not in this store"


def test_a_hit_made_by_other_versions_says_so(bench):
    results = bench.run(bench.plan())
    for name in ("base", "drill"):
        versions = {"torch": "1.0.0", "unheard-of": "3"}
        bench.store.put_result(replace(results[name], provenance={"versions": versions}))
    plan = bench.plan()
    assert plan.nodes["base"].reason == "in the store, made with torch 1.0.0"
    assert plan.nodes["drill"].reason == plan.nodes["tuned"].reason == "in the store"


def test_an_end_needs_its_files(bench):
    results = bench.run(bench.plan())
    bench.lose(results["tuned"])
    assert bench.statuses()["tuned"] == "run"
    assert bench.statuses(targets=["base"]) == {"blank": "hit", "drill": "hit", "base": "hit"}


def test_a_lost_result_is_reported(bench):
    results = bench.run(bench.plan())
    bench.store.result_path(results["drill"].key).unlink()
    assert bench.plan().nodes["drill"].reason == "its last result is gone"


@pytest.fixture
def offered(bench) -> Bench:
    """A bench whose spec offers an export of `base`, made in another store."""
    (bench.folder / "other").mkdir()
    other = Bench(bench.folder / "other")
    results = other.run(other.plan())
    write_export(other.store, bench.folder / "base.tar", [results["base"]], [results["blank"], results["drill"]])
    bench.path.write_text(SPEC + "imports: [base.tar]\n")
    return bench


def test_import(offered):
    plan = offered.plan()
    assert {name: str(item.status) for name, item in plan.nodes.items()} == {
        "blank": "import",
        "drill": "run",  # `tuned` reads it, and the export has but its record
        "base": "import",
        "tuned": "run",
    }
    assert (
        plan.nodes["base"].reason == "in base.tar" and plan.nodes["drill"].reason == "its files are not in this store"
    )
    assert offered.statuses(targets=["base"]) == {"blank": "import", "drill": "import", "base": "import"}
    assert set(offered.statuses(use_imports=False).values()) == {"run", "pending"}
    assert offered.statuses("stages.base.seed=9")["base"] == "run"


def test_an_import_brings_back_lost_files(offered):
    results = offered.run(offered.plan(use_imports=False))
    offered.lose(results["base"])
    assert offered.statuses("stages.tuned.seed=3")["base"] == "import"


HUB = """\
factory: 1
name: hub
models: {base: {kind: hub, repo: org/model}, pinned: {kind: hub, repo: org/model, revision: COMMIT}}
problems: {train: {kind: hub, repo: org/problems, revision: v2}}
stages:
  drill: {kind: practice, count: 1}
  tuned: {kind: sft, model: base, data: drill, learning_rate: 1e-3}
  pinned_tuned: {kind: sft, model: pinned, data: drill, learning_rate: 1e-3}
""".replace("COMMIT", "a" * 40)


def test_offline_an_open_revision_is_pending(bench):
    bench.path.write_text(HUB)
    plan = bench.plan()
    assert plan.nodes["base"].status is Status.PENDING
    assert plan.nodes["base"].reason == "revision 'main' is not locked; only the network can resolve it"
    assert plan.nodes["tuned"].reason == "waits for base, drill"
    assert plan.nodes["pinned"].status is Status.RUN


def test_the_lock_file_pins(bench):
    bench.path.write_text(HUB)
    Path(f"{bench.path}.lock").write_text('{"models/org/model@main": "' + "b" * 40 + '"}')
    graph = compile_spec(bench.path)
    commits = locked_commits(graph)
    assert commits == {"base": "b" * 40} == resolve_commits(graph), "and what is locked is not asked for again"
    base = make_plan(graph, bench.store, commits=commits).nodes["base"]
    assert base.status is Status.RUN and base.config.revision == base.record["config"]["revision"] == "b" * 40


@pytest.mark.parametrize("text", ["{", "[]", '{"models/org/model@main": 5}'])
def test_a_file_that_is_not_a_lock_file(bench, text, golden):
    bench.path.write_text(HUB)
    Path(f"{bench.path}.lock").write_text(text)
    with pytest.raises(UserError) as caught:
        locked_commits(compile_spec(bench.path))
    assert caught.value.diagnostics[0].code == "E141"
    golden(str(caught.value))


def test_a_lock_file_that_cannot_be_written(bench, monkeypatch, golden):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    bench.path.write_text(HUB)
    monkeypatch.setattr("astro_factory.plan.locks._resolve", lambda node: "c" * 40)
    monkeypatch.setattr("astro_factory.plan.locks.write_atomic", refuse)
    with pytest.raises(UserError) as caught:
        resolve_commits(compile_spec(bench.path))
    assert caught.value.diagnostics[0].code == "E142"
    golden(str(caught.value))


def test_preflight_names_the_publication(bench):
    text = SPEC.replace("repo: org/never-needed", f"repo: meta-llama/Llama-3.1-8B, revision: {'a' * 40}")
    text = text.replace("model: blank", "model: spare")
    bench.path.write_text(text + "publish: {model: {repo: me/mine, artifact: tuned, licence: mit}}\n")
    with pytest.raises(UserError) as caught:
        preflight(bench.plan(), online=False)
    assert [found.code for found in caught.value.diagnostics] == ["E721", "E722"]
    assert {str(found.place) for found in caught.value.diagnostics} == {f"{bench.path}:9:11"}


def test_preflight_accepts_a_local_publication(bench):
    bench.path.write_text(SPEC + "publish: {model: {repo: 'file:out', artifact: tuned}}\n")
    preflight(bench.plan(), online=True)
