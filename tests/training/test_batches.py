from hypothesis import given
from hypothesis import strategies as st

from astro_factory.training.batches import plan_steps, split_step

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@given(lengths, st.integers(1, 3), st.integers(1, 20), st.sampled_from([None, 30, 200]), st.integers(1, 5))
def test_each_epoch_visits_every_sequence_once(lengths, epochs, size, tokens, window):
    steps = plan_steps(lengths, epochs=epochs, batch_size=size, batch_tokens=tokens, length_window=window, seed=epochs)
    assert sorted(i for step in steps for i in step) == sorted(list(range(len(lengths))) * epochs)
    for step in steps:
        if tokens:
            assert len(step) == 1 or sum(lengths[i] for i in step) <= tokens
        else:
            assert 0 < len(step) <= size


@given(lengths, st.integers(1, 12), st.integers(1, 30))
def test_max_steps_is_exact(lengths, size, most):
    steps = plan_steps(lengths, epochs=1, batch_size=size, max_steps=most)
    assert len(steps) == most


@given(lengths, st.integers(1, 12), st.sampled_from([None, 30, 200]), st.integers(1, 4000))
def test_matched_tokens_differ_by_at_most_half_a_step(lengths, size, batch_tokens, wanted):
    steps = plan_steps(lengths, epochs=1, batch_size=size, batch_tokens=batch_tokens, tokens=wanted)
    counts = [sum(lengths[i] for i in step) for step in steps]
    follows = plan_steps(lengths, epochs=1, batch_size=size, batch_tokens=batch_tokens, max_steps=len(steps) + 1)
    assert steps == follows[:-1]
    largest = max([*counts, sum(lengths[i] for i in follows[-1])])
    assert len(steps) == 1 or abs(sum(counts) - wanted) <= largest / 2


def test_the_order_depends_on_the_seed_and_windows_group_like_lengths():
    lengths = [1 + i % 50 for i in range(400)]

    def spread(**options):
        steps = plan_steps(lengths, epochs=1, batch_size=8, **options)
        return sum(max(lengths[i] for i in s) - min(lengths[i] for i in s) for s in steps)

    assert plan_steps(lengths, epochs=1, batch_size=8, seed=1) == plan_steps(lengths, epochs=1, batch_size=8, seed=1)
    assert plan_steps(lengths, epochs=1, batch_size=8, seed=1) != plan_steps(lengths, epochs=1, batch_size=8, seed=2)
    assert spread(length_window=10) < spread() / 4


@given(lengths, st.integers(1, 6))
def test_micro_batches_divide_a_step(lengths, parts):
    step = list(range(len(lengths)))
    micro = split_step(step, lengths, parts)
    assert len(micro) == parts
    assert sorted(i for m in micro for i in m) == step
    tokens = [sum(lengths[i] for i in m) for m in micro]
    assert max(tokens) <= sum(lengths) / parts + max(lengths)
