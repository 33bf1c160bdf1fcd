"""The attack suite in small; `python -m benchmarks.verify --attack` runs 20,000 pairs."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.math import judge
from benchmarks.domain_attack import countdown_attacks, gym_attacks
from benchmarks.verdict_attack import GOLDS, pairs

SEED = 20261128


def verdicts(tasks: list[tuple[Problem, str]]) -> list[Verdict]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda task: get_verifier(task[0].verifier).verify(*task), tasks))


def problem(gold: str) -> Problem:
    return Problem("p", "", gold, "math")


def test_rewordings_are_right_and_mutations_are_not():
    attacks = list(pairs(SEED, 500))
    found = verdicts([(problem(attack.gold), attack.answer) for attack in attacks])
    wrong = [(a, v) for a, v in zip(attacks, found, strict=True) if v.correct != a.is_right]
    assert not wrong, f"seed {SEED}\n" + "\n".join(map(str, wrong))
    assert not [v for v in found if v.outcome in (Outcome.ERROR, Outcome.TIMEOUT)]


def test_verdicts_do_not_depend_on_the_order_of_rows():
    attacks = list(pairs(SEED + 1, 200))
    shuffled = random.Random(SEED).sample(attacks, len(attacks))
    first = verdicts([(problem(a.gold), a.answer) for a in attacks])
    second = verdicts([(problem(a.gold), a.answer) for a in shuffled])
    by_attack = dict(zip(attacks, first, strict=True))
    assert [by_attack[attack] for attack in shuffled] == second


def test_no_answer_is_right_for_two_numbers():
    """Answers to one gold are judged against another one of its type, which differs in value."""
    rng = random.Random(SEED)
    tasks, expected = [], []
    for make in GOLDS:
        for _ in range(4):
            gold, other = make(rng), make(rng)
            if gold.type in ("words", "percent", "identity", "family") or judge(gold.text, other.text).correct:
                continue
            kind, answer = rng.choice(gold.same)
            tasks += [(problem(gold.text), rf"\boxed{{{answer}}}"), (problem(other.text), rf"\boxed{{{answer}}}")]
            expected.append((gold.text, other.text, kind, answer))
    found = verdicts(tasks)
    both = [e for e, one, two in zip(expected, found[::2], found[1::2], strict=True) if one.correct and two.correct]
    assert not both


@pytest.mark.parametrize("attacks", [countdown_attacks(SEED, 500), gym_attacks(SEED, 50)], ids=["countdown", "gym"])
def test_domains(attacks):
    if attacks.gi_code.co_name == "gym_attacks":
        pytest.importorskip("reasoning_gym")
    made = list(attacks)
    found = verdicts([(attack.problem, attack.response) for attack in made])
    wrong = [(a, v) for a, v in zip(made, found, strict=True) if v.correct != a.is_right]
    assert not wrong, f"seed {SEED}\n" + "\n".join(map(str, wrong))


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_whole_numbers_are_equal_exactly(gold, answer):
    assert judge(str(gold), f"{answer}+0").correct == (gold == answer)
    assert judge(f"{gold}\\sqrt{{2}}", f"{answer}\\sqrt{{2}}").correct == (gold == answer)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789+-*/^_{}()[]\\|!'%$.,:;=<>abcxpifractsqr ", max_size=40))
def test_no_text_is_an_error_or_right_for_an_unlikely_number(text):
    verdict = judge("86418041", rf"\boxed{{{text}}}")
    assert verdict.outcome in (Outcome.INCORRECT, Outcome.NO_ANSWER)
