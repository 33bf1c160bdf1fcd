"""The difficulty band: which problems rounds draw, what it remembers, and that a checkpoint keeps all of it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from astro_factory.stages.prompt_sources import tally_of
from astro_factory.traces.tree_states import Ends
from astro_factory.training.difficulty import DifficultyBand, Tally
from astro_factory.training.prompt_settings import Difficulty
from astro_factory.training.rollout_schedule import RoundPrompt, plan_rounds

SIZE = 8


def made(problems: int = 40, known=None, *, pools=None, **settings) -> DifficultyBand:
    return DifficultyBand(Difficulty(**settings), pools or [range(problems)], known or {}, seed=0)


def responses(problem: int, right: int, size: int = SIZE) -> list[tuple[int, bool]]:
    return [(problem, place < right) for place in range(size)]


def play(band: DifficultyBand, rounds, solved, prompts: int = 6, problems: int = 40) -> list[list[RoundPrompt]]:
    """Some rounds in which each problem is solved as often as `solved` says."""
    plan = plan_rounds(problems, rounds=max(rounds, default=0) + 1, prompts=prompts, seed=0)
    asked = []
    for number in rounds:
        asked.append(band.choose(number, plan[number]))
        band.record(number, [one for prompt in asked[-1] for one in responses(prompt.problem, solved(prompt.problem))])
    return asked


@given(
    st.integers(1, 30),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.25, 0.5, 0.9]),
    st.lists(st.integers(0, SIZE), min_size=30, max_size=30),
)
def test_rounds_are_full_and_a_problem_comes_twice_only_when_all_came(problems, prompts, explore, solved):
    asked = play(made(problems, explore=explore), range(5), solved.__getitem__, prompts, problems)
    for prompts_of_round in asked:
        assert len(prompts_of_round) == prompts and len(set(prompts_of_round)) == prompts
        counts = Counter(prompt.problem for prompt in prompts_of_round)
        assert set(counts) <= set(range(problems)) and max(counts.values()) <= -(-prompts // problems)


def test_without_rates_all_are_new_and_then_the_band_has_its_share():
    """Every third problem is solved half of the time, the others always."""
    band = made(explore=0.5)
    first, *later = play(band, range(12), lambda problem: SIZE // 2 if problem % 3 == 0 else SIZE)
    seen = {prompt.problem for prompt in first}
    assert len(seen) == 6
    for number, prompts in enumerate(later, start=1):
        again = [prompt.problem for prompt in prompts if prompt.problem in seen]
        new = {prompt.problem for prompt in prompts} - seen
        if len(seen) + 3 <= 40:
            assert len(new) >= 3 and all(problem % 3 == 0 for problem in again), f"round {number}"
        seen |= new
    assert seen == set(range(40)), "all are tried in time"


def test_a_band_takes_the_longest_not_asked_first():
    known = dict.fromkeys(range(10), Tally(4, 8))
    asked = play(made(10, known, explore=0), range(4), lambda problem: 4, prompts=5, problems=10)
    first, second, third, fourth = ({prompt.problem for prompt in prompts} for prompts in asked)
    assert first == third and second == fourth and first | second == set(range(10))


def test_rates_follow_the_policy():
    """A problem that was solved never and is now solved always passes through the band."""
    band = made(1, band=(0.1, 0.9))
    inside = []
    for number, right in enumerate([0, 8, 8, 8, 8, 8]):
        band.choose(number, [RoundPrompt(0, 0)])
        inside.append(band.measures([RoundPrompt(0, 0)])["in_band"])
        band.record(number, responses(0, right))
    assert inside == [0, 0, 1, 1, 0, 0], "no rate, 0 of 8, 8 of 12, 12 of 14, 14 of 15: the first group counts less"


def test_a_problem_that_cannot_be_judged_waits_for_its_turn_like_others(tmp_path):
    """Its answer may be one that no verifier can parse. Asked first in every round, it would leave no room to try
    others."""
    band, broken = made(12, explore=0.5), {0, 1, 2, 3}
    asked: list[int] = []
    plan = plan_rounds(12, rounds=6, prompts=4, seed=0)
    for number in range(6):
        chosen = [prompt.problem for prompt in band.choose(number, plan[number])]
        asked += chosen
        right = {problem: None if problem in broken else False for problem in chosen}
        band.record(number, [(problem, right[problem]) for problem in chosen for _ in range(SIZE)])
        band.save(tmp_path)
        band = made(12, explore=0.5)
        band.restore(tmp_path)
    assert set(Counter(asked).values()) == {2}, "each comes twice in six rounds of four"
    assert band.measures([RoundPrompt(0, 0)])["skipped"] == 12 - len(broken), "their rates stay unknown"


@pytest.mark.parametrize("ends", [(0.1, 0.1), (0.3, 0.3), (0.9, 0.9), (0.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("size", [3, 7, 10, 64])
def test_both_ends_of_a_band_are_inside(ends, size):
    band = made(1, {0: tally_of(Ends(ends[0], 100), size)}, band=ends)
    assert band.measures([RoundPrompt(0, 0)])["in_band"] == 1


def test_known_rates_count_before_the_first_round():
    band = made(20, {3: Tally(4, 8), 4: Tally(8, 8), 5: Tally(1, 8)}, explore=0.5)
    chosen = band.choose(0, [RoundPrompt(problem, 0) for problem in range(4)])
    assert {3, 5} <= {prompt.problem for prompt in chosen} and RoundPrompt(4, 0) not in chosen
    assert band.measures(chosen) == {"in_band": 2, "skipped": 1, "explored": 0.5}
    assert set(band.spare(3)) == set(range(20)) - {prompt.problem for prompt in chosen}


def test_problems_of_one_pool_do_not_take_the_places_of_another():
    pools = [range(10), range(10, 14)]
    band = made(pools=pools, known=dict.fromkeys(range(10), Tally(4, 8)), explore=0.25)
    planned = [RoundPrompt(problem, 0) for problem in (0, 10, 1, 11)]
    for number in range(6):
        chosen = band.choose(number, planned)
        assert [prompt.problem in pools[1] for prompt in chosen] == [False, True, False, True]
        assert set(band.spare(11)) <= set(pools[1]) and set(band.spare(1)) <= set(pools[0])
        band.record(number, [one for prompt in chosen for one in responses(prompt.problem, 4)])


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40), st.randoms())
def test_the_order_of_responses_does_not_matter(results, random):
    one, other = made(6), made(6)
    mixed = random.sample(results, len(results))
    one.record(0, results)
    other.record(0, mixed)
    planned = [RoundPrompt(problem, 0) for problem in range(4)]
    assert one.choose(1, planned) == other.choose(1, planned) and one.measures(planned) == other.measures(planned)


def test_a_checkpoint_continues_with_the_same_prompts(tmp_path):
    whole, first, second = made(), made(), made()
    asked = play(whole, range(8), lambda problem: problem % 9)
    play(first, range(5), lambda problem: problem % 9)
    first.save(tmp_path)
    second.restore(tmp_path)
    assert play(second, range(5, 8), lambda problem: problem % 9) == asked[5:]


@pytest.mark.parametrize("band", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.1)])
def test_a_band_is_a_range_of_shares(band):
    with pytest.raises(ValidationError, match="band needs two numbers with 0 <= low <= high <= 1"):
        Difficulty(band=band)
