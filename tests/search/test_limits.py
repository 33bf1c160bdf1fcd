"""No policy samples more than its `limits`, with any options and any samples."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from astro_factory.core.errors import UserError
from astro_factory.engines.base import Request, Sample
from astro_factory.search.config import PolicyConfig
from astro_factory.search.driver import policy_for
from tests.search.toy import builder_for, letters, make_tokenizer

TOKENIZER = make_tokenizer()
IDS = {text: TOKENIZER(text, add_special_tokens=False)["input_ids"][0] for text in [*"abcdp", "\n"]}
VOTES = st.fixed_dictionaries({"votes": st.integers(1, 3), "max_tokens": st.integers(1, 3)})
SAMPLING = {"max_depth": st.integers(1, 5), "max_rollout_tokens": st.integers(1, 9)}
STOP = {
    "right": st.integers(0, 3),
    "wrong_distinct": st.integers(0, 3),
    "patience": st.none() | st.integers(1, 3),
    "solved": st.none() | st.integers(1, 3),
    "min_iterations": st.integers(1, 3),
}
STEPS = SAMPLING | {
    "expansions": st.integers(1, 4),
    "max_step_tokens": st.integers(1, 4),
    "prior": st.sampled_from(["uniform", "share", "logprob"]),
    "merge_equal_steps": st.booleans(),
    "stop": st.none() | st.fixed_dictionaries(STOP),
    "self_evaluation": st.none() | VOTES,
}
MCTS = STEPS | {
    "rollouts": st.integers(0, 4),
    "iterations": st.integers(1, 8),
    "value": st.sampled_from(["rollouts", "terminals", "self_evaluation", "verifier"]),
    "candidates": st.sampled_from(["steps", "rollouts"]),
    "close_finished": st.booleans(),
    "keep_rollouts": st.booleans(),
    "rollout_children": st.none() | st.integers(1, 4),
    "first_rollouts": st.none() | st.integers(1, 4),
    "count_evaluation": st.booleans(),
    "prune_below": st.sampled_from([0.0, 0.5]),
}
EXHAUSTIVE = STEPS | {
    "max_expansions": st.integers(1, 9),
    "prune_below": st.sampled_from([0.0, 0.5]),
    "value": st.sampled_from([None, "prior", "self_evaluation", "verifier"]),
}
FIELDS = {
    "best_of_n": SAMPLING | {"n": st.integers(1, 9)},
    "mcts": MCTS,
    "beam": STEPS
    | {"width": st.integers(1, 4), "rank": st.sampled_from(["likelihood", "self_evaluation", "verifier"])},
    "dfs": EXHAUSTIVE,
    "bfs": EXHAUSTIVE,
}


def _valid(fields: dict) -> PolicyConfig | None:
    try:
        return TypeAdapter(PolicyConfig).validate_python(fields)
    except ValidationError:  # the options do not fit each other
        return None


POLICIES = st.one_of(
    [st.fixed_dictionaries({"kind": st.just(kind)} | fields) for kind, fields in FIELDS.items()]
).map(_valid).filter(bool)  # fmt: skip


def write(request: Request, random: Random, share: float) -> list[Sample]:
    """Letters of a path, of which `share` is `a`; sometimes `p`, which is no step."""

    def one() -> Sample:
        count = random.randint(1, request.max_tokens)
        letters = ("a" if random.random() < share else random.choice("bcdp") for _ in range(count))
        ids = [IDS[letter] if place % 2 == 0 else IDS["\n"] for place, letter in enumerate(letters)]
        return Sample(tuple(ids), TOKENIZER.decode(ids), (-0.5,) * count, random.choice(["stop", "eos", "length"]))

    return [one() for _ in request.seeds]


@settings(max_examples=400, deadline=None)
@given(
    config=POLICIES,
    seed=st.integers(0, 2**32),
    length=st.integers(1, 4),
    share=st.sampled_from([0.0, 0.3, 0.7, 0.95, 1.0]),
)
def test_a_tree_never_takes_more_than_its_limits(config, seed, length, share):
    builder = builder_for(letters("a" * length), config, TOKENIZER)
    run, random, answers = policy_for(config)(builder, config), Random(seed), None
    while True:
        try:
            requests = run.send(answers) if answers is not None else next(run)
        except StopIteration:
            break
        answers = [write(request, random, share) for request in requests]
    calls, tokens = config.limits()
    assert len(builder.tree.calls) <= calls
    assert builder.tree.tokens <= tokens


def test_a_policy_above_its_limits_is_an_error(golden):
    fields = {"kind": "python", "target": "tests.search.test_policies:my_policy", "options": {"count": 9}}
    for most in (8, 9):
        config = TypeAdapter(PolicyConfig).validate_python(fields | {"max_samples": most})
        builder = builder_for(letters("ab"), config, TOKENIZER)
        run = policy_for(config)(builder, config)
        if most == 9:
            assert len(next(run)[0].seeds) == 9
            continue
        with pytest.raises(UserError) as caught:
            next(run)
        assert caught.value.diagnostics[0].code == "E624"
        golden(str(caught.value))
