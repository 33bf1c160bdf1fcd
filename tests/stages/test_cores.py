"""Every kind that starts processes tells the scheduler how many cores, or GPUs, it keeps busy."""

import pytest

from astro_factory.stages import evaluate, grpo, judge, sft
from astro_factory.stages.problems import pass_rate

LEARN = {"model": "m", "learning_rate": 1e-3}
SAMPLE = {"suite": {"problems": ["p"]}, "arms": ["m"], "processes": 3}
ASK = {"model": "m", "engine": {"kind": "transformers", "threads": 2}, "processes": 3}
CASES = [
    (sft, LEARN | {"kind": "sft", "data": "d"}, 1),
    (sft, LEARN | {"kind": "sft", "data": "d", "launch": {"processes": 8}, "threads": 2}, 16),
    (
        grpo,
        LEARN
        | {"kind": "grpo", "problems": "p", "steps": 1, "prompts_per_step": 8, "group_size": 2, "max_new_tokens": 9}
        | {"launch": {"processes": 4}},
        4,
    ),
    (evaluate, SAMPLE | {"kind": "evaluate", "engine": {"kind": "transformers", "threads": 2}}, 6),
    (evaluate, SAMPLE | {"kind": "evaluate", "engine": {"kind": "vllm"}}, 3),
    (pass_rate, ASK | {"kind": "pass_rate", "problems": "p"}, 6),
    (pass_rate, ASK | {"kind": "pass_rate", "problems": "p", "backend": "ray"}, 1),
    (judge, ASK | {"kind": "judge", "trees": "t", "prompt": {"entry": "p", "sources": {"p": ""}}}, 6),
]


@pytest.mark.parametrize(("module", "fields", "cores"), CASES)
def test_cores_are_those_of_all_processes(module, fields, cores):
    assert module.cores(module.Config(**fields)) == cores
