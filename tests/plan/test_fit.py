"""What a machine cannot run is refused before anything runs, with what would fit."""

from pathlib import Path

import pytest

from astro_factory.core.devices import Inventory
from astro_factory.core.errors import UserError
from astro_factory.core.machines import parse_machine
from astro_factory.core.nvidia import Fault, Gpu
from astro_factory.core.plans import Plan
from astro_factory.plan import make_plan
from astro_factory.plan.fit import wants_gpus
from astro_factory.plan.predictions import predictions, require_fit
from astro_factory.spec import compile_spec
from astro_factory.store import Store

SPEC = """\
factory: 1
name: wide
models: {far: {kind: hub, repo: org/model, revision: COMMIT}}
problems: {train: {kind: countdown, count: 50}}
engines: {policy: {kind: vllm, tensor_parallel_size: 2}}
search_policies: {mcts: {kind: mcts}}
stages:
  trees: {kind: search, policy: mcts, model: far, engine: policy, problems: train, processes: 4}
  traces: {kind: linearize, trees: trees, template: reflection/terse.jinja}
  tuned: {kind: sft, model: far, data: traces, learning_rate: 1e-5, launch: {processes: 6}}
  rl:
    kind: grpo
    model: tuned
    problems: train
    learning_rate: 1e-6
    steps: 1
    prompts_per_step: 12
    group_size: 4
    max_new_tokens: 16
    launch: {processes: 6}
  remote: {kind: search, policy: mcts, model: far, engine: policy, problems: train, backend: ray, processes: 64}
""".replace("COMMIT", "c" * 40)


def machine(count: int, *, mig: bool = False, faults: tuple[Fault, ...] = ()) -> Inventory:
    return Inventory(tuple(Gpu(f"GPU-{n}", "NVIDIA H100", 79.6, mig) for n in range(count)), "580", faults)


def plan_of(folder: Path, text: str) -> Plan:
    path = folder / "wide.yaml"
    path.write_text(text)
    return make_plan(compile_spec(path), Store(folder / "store"))


@pytest.fixture
def planned(tmp_path):
    return plan_of(tmp_path, SPEC)


@pytest.mark.parametrize(
    ("count", "remedies"),
    [
        (0, {}),  # runs on the CPU
        (8, {}),
        (7, {"trees": "set stages.trees.processes=3"}),
        (
            5,  # of 12 prompts per step, 5 processes cannot take equal shares
            {
                "trees": "set stages.trees.processes=2",
                "tuned": "set stages.tuned.launch.processes=5",
                "rl": "set stages.rl.launch.processes=4",
            },
        ),
        (
            1,
            {
                "trees": "set stages.trees.processes=1, engines.policy.tensor_parallel_size=1",
                "tuned": "set stages.tuned.launch.processes=1",
                "rl": "set stages.rl.launch.processes=1",
            },
        ),
    ],
)
def test_a_stage_that_needs_more_gpus_is_refused(planned, count, remedies):
    if not remedies:
        return require_fit(planned, machine(count))
    with pytest.raises(UserError) as error:
        require_fit(planned, machine(count))
    assert [(found.code, found.remedy) for found in error.value.diagnostics] == [
        ("E181", remedy) for remedy in remedies.values()
    ]
    assert all(f"'{name}' needs" in found.cause for name, found in zip(remedies, error.value.diagnostics, strict=True))
    assert all(found.place and found.place.line > 1 for found in error.value.diagnostics)


@pytest.mark.parametrize(
    ("text", "described", "remedy"),
    [
        ("{processes: 16}", "2x8xH100-80GB", "set stages.tuned.launch.nodes=2"),
        ("{processes: 16, nodes: 2}", "2x8xH100-80GB", ""),
        ("{processes: 16, nodes: 2}", "1x16xH100-80GB", "set stages.tuned.launch.nodes=1"),
        ("{processes: 6, nodes: 3}", "2x8xH100-80GB", "set stages.tuned.launch.nodes=1"),
        ("{processes: 32, nodes: 2}", "2x8xH100-80GB", "set stages.tuned.launch.processes=16"),
    ],
)
def test_training_on_several_nodes_needs_its_gpus_on_each(tmp_path, text, described, remedy):
    spec = SPEC.replace("learning_rate: 1e-5, launch: {processes: 6}", f"learning_rate: 1e-5, launch: {text}")
    found = predictions(plan_of(tmp_path, spec), parse_machine(described))["tuned"].fault
    assert (found.code, found.remedy) == ("E181", remedy) if found else remedy == ""


def test_the_other_nodes_of_a_launch_have_the_gpus_of_this_one(tmp_path):
    spec = SPEC.replace("1e-5, launch: {processes: 6}", "1e-5, launch: {processes: 16, nodes: 2}")
    require_fit(plan_of(tmp_path, spec), machine(8))


def test_instances_of_a_split_gpu_do_not_work_together(planned, golden):
    with pytest.raises(UserError) as error:
        require_fit(planned, machine(14, mig=True))
    assert [found.code for found in error.value.diagnostics] == ["E181"] * 3
    golden(str(error.value))


def test_gpus_that_cannot_be_used_are_an_error(planned):
    with pytest.raises(UserError) as error:
        require_fit(planned, machine(8, faults=(Fault("driver", "it is too old", "renew it"),)))
    assert [(found.code, found.cause) for found in error.value.diagnostics] == [("E180", "it is too old")]


def test_unusable_gpus_do_not_matter_to_a_plan_that_needs_none(tmp_path):
    text = SPEC.replace("launch: {processes: 6}", "launch: {processes: 6, device: cpu}")
    text = text.replace("{kind: vllm, tensor_parallel_size: 2}", "{kind: transformers, device: cpu}")
    planned = plan_of(tmp_path, text)
    require_fit(planned, machine(0, faults=(Fault("driver", "it is too old", "renew it"),)))
    assert not wants_gpus(planned)


def test_a_plan_wants_gpus_for_its_models(planned):
    assert wants_gpus(planned)
