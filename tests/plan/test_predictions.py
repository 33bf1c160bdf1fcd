"""Memory, disk and hours are predicted from config.json; what does not fit is refused with the smallest change."""

import json
from pathlib import Path

import pytest

from astro_factory.cli.main import make_app
from astro_factory.core.devices import Inventory
from astro_factory.core.errors import UserError
from astro_factory.core.machines import Machine, parse_machine
from astro_factory.core.nvidia import Gpu
from astro_factory.plan import make_plan
from astro_factory.plan.predictions import predictions, require_fit
from astro_factory.spec import compile_spec
from astro_factory.store import Store

RECIPE = Path(__file__).parents[2] / "specs/llama3_8b.yaml"
SPEC = """\
factory: 1
name: sized
models: {base: {kind: hub, repo: meta-llama/Llama-3.1-8B-Instruct, revision: COMMIT}}
problems:
  train: {kind: countdown, count: 50}
  theirs: {kind: hub, repo: org/problems, revision: COMMIT}
engines: {policy: {kind: vllm, max_model_len: 8192}}
search_policies: {mcts: {kind: mcts}}
stages:
  trees: {kind: search, policy: mcts, model: base, engine: policy, problems: train}
  their_trees: {kind: search, policy: mcts, model: base, engine: policy, problems: theirs}
  traces: {kind: linearize, trees: trees, template: reflection/terse.jinja}
  tuned:
    kind: sft
    model: base
    data: traces
    learning_rate: 1e-6
    precision: bf16
    max_length: 1024
    batch_size: 8
    launch: {processes: 4, deepspeed: {zero_stage: 3}}
  rl:
    kind: grpo
    model: tuned
    problems: train
    learning_rate: 1e-6
    steps: 10
    prompts_per_step: 32
    group_size: 4
    max_new_tokens: 2048
    micro_batch_size: 2
    precision: bf16
    gradient_checkpointing: true
    launch: {processes: 8, deepspeed: {zero_stage: 3}}
    rollouts: {kind: vllm, gpu_memory_utilization: 0.4, max_model_len: 4096}
""".replace("COMMIT", "c" * 40)
H100S = parse_machine("8xH100-80GB")


def planned(folder: Path, *sets: str):
    path = folder / "sized.yaml"
    path.write_text(SPEC)
    return make_plan(compile_spec(path, sets=sets), Store(folder / "store"))


def test_every_stage_with_a_model_is_predicted(tmp_path):
    found = {name: one.as_json() for name, one in predictions(planned(tmp_path), H100S).items()}
    assert {name: one["gpus"] for name, one in found.items()} == {
        "base": 0, "trees": 1, "their_trees": 1, "tuned": 4, "rl": 8,
    }  # fmt: skip
    assert all(one["fits"] for one in found.values())
    assert found["base"]["disk_gb"] == 15.0  # the weights in bf16
    assert 71 < found["trees"]["peak_gpu_gb"] < 75  # vLLM takes its share
    assert 30 < found["tuned"]["peak_gpu_gb"] < 80
    assert found["rl"]["peak_gpu_parts_gb"]["rollouts"] == 32.0
    assert found["rl"]["hours"] > 0 and "KV cache" in found["rl"]["notes"][0]


def test_hours_are_per_thousand_problems_where_only_the_hub_knows(tmp_path):
    found = predictions(planned(tmp_path), H100S)
    assert found["trees"].assumed_problems is None and found["their_trees"].assumed_problems == 1000
    assert found["their_trees"].needs.seconds == pytest.approx(20 * (found["trees"].needs.seconds or 0))
    assert found["rl"].assumed_problems is None  # a fixed number of steps
    limited = predictions(planned(tmp_path, "problems.theirs.limit=200"), H100S)
    assert limited["their_trees"].assumed_problems is None
    assert limited["their_trees"].needs.seconds == pytest.approx(4 * (limited["trees"].needs.seconds or 0))


@pytest.mark.parametrize(
    ("machine", "sets", "stage", "code", "remedy"),
    [
        ("8xH100-80GB", ["stages.tuned.max_length=8192"], "tuned", "E182", {"gradient_checkpointing": "true"}),
        ("8xH100-80GB", ["stages.tuned.launch.deepspeed=null"], "tuned", "E182", {"launch.deepspeed.zero_stage": "2"}),
        ("8xH100-80GB", ["stages.rl.rollouts.gpu_memory_utilization=0.7"], "rl", "E182", {"rollouts.sleep": "true"}),
        (
            "8xH100-80GB",
            ["engines.policy.max_model_len=900000"],
            "trees",
            "E182",
            {"engines.policy.max_model_len": "32768"},
        ),
        ("4xH100-80GB", [], "rl", "E181", {"launch.processes": "4"}),
        ("1x4090-24GB", [], "tuned", "E181", {}),
    ],
)
def test_what_does_not_fit_has_a_remedy_that_fits(tmp_path, machine, sets, stage, code, remedy):
    target = parse_machine(machine)
    fault = predictions(planned(tmp_path, *sets), target)[stage].fault
    assert fault and fault.code == code and fault.place and fault.place.line > 1
    if not remedy:
        assert fault.remedy == "use GPUs with more memory, or more of them"
        return
    given = dict(part.split("=") for part in fault.remedy.removeprefix("set ").split(", "))
    paths = {path.removeprefix(f"stages.{stage}."): value for path, value in given.items()}
    assert remedy.items() <= paths.items()
    after = [*sets, *(f"{path}={value}" for path, value in given.items())]
    assert predictions(planned(tmp_path, *after), target)[stage].fault is None
    for left_out in given:  # no change is needless
        fewer = [f"{path}={value}" for path, value in given.items() if path != left_out]
        assert predictions(planned(tmp_path, *sets, *fewer), target)[stage].fault


def test_what_fsdp_cannot_hold_deepspeed_can_offload(tmp_path):
    sets = ["stages.tuned.launch={processes: 4, fsdp: {}}", "stages.tuned.gradient_checkpointing=true"]
    machine = parse_machine("4xA30-24GB")
    fault = predictions(planned(tmp_path, *sets), machine)["tuned"].fault
    assert fault and fault.code == "E182"
    given = fault.remedy.removeprefix("set ").split(", ")
    assert "stages.tuned.launch.fsdp=null" in given and "stages.tuned.launch.deepspeed.offload_optimizer=true" in given
    assert predictions(planned(tmp_path, *sets, *given), machine)["tuned"].fault is None


def test_the_message(tmp_path, golden):
    fault = predictions(planned(tmp_path, "stages.tuned.launch.deepspeed=null"), H100S)["tuned"].fault
    golden(str(fault))


def test_a_build_is_refused(tmp_path):
    gpus = tuple(Gpu(f"GPU-{n}", "NVIDIA GeForce RTX 4090", 24.0) for n in range(8))
    with pytest.raises(UserError) as error:
        require_fit(planned(tmp_path), Inventory(gpus, "580"))
    assert {found.code for found in error.value.diagnostics} == {"E182"}


def test_without_gpus_everything_may_run_on_the_cpu(tmp_path):
    found = predictions(planned(tmp_path), Machine(host_gb=16))
    assert all(one.fault is None and not one.needs.gpus for one in found.values())
    assert (found["tuned"].needs.host or 0) > 16 * 2**30


@pytest.mark.parametrize(("machine", "code"), [("8xH100-80GB", 0), ("1x4090-24GB", 2), ("8x4090-24GB", 2)])
def test_the_shipped_recipe_says_where_it_fits(tmp_path, capsys, machine, code):
    with pytest.raises(SystemExit) as ended:
        make_app("plan")(["plan", "--offline", str(RECIPE), "--machine", machine, "--store", str(tmp_path), "--json"])
    assert ended.value.code == code
    stages = {stage["name"]: stage for stage in json.loads(capsys.readouterr().out)["stages"]}
    for name in ("trees", "astro_sft", "astro_rl", "report"):
        stage = stages[name]
        assert bool(stage["remedy"]) is not stage["fits"]
        assert all(stage[field] for field in ("gpus", "peak_gpu_gb", "peak_host_gb", "disk_gb", "hours"))
    assert stages["traces"]["peak_gpu_gb"] is None
    assert all(stage["fits"] is not False for stage in stages.values()) is (code == 0)
