import torch
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.training.microbatching import forward_passes, split_by_length


def test_micro_batches_are_sorted_by_length():
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
    parts = split_by_length(
        {"completion_mask": mask, "advantages": torch.arange(4), "num_items_in_batch": torch.tensor(6)}, 2
    )
    assert [part["advantages"].tolist() for part in parts] == [[3, 1], [2, 0]]
    assert all(part["num_items_in_batch"] == 6 for part in parts)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.sampled_from([None, 1, 7]), st.sampled_from([0, 200]))
def test_passes_cover_the_rows_within_their_limits(lengths, most, tokens):
    shares = forward_passes(lengths, most, tokens)
    assert [row for share in shares for row in range(len(lengths))[share]] == list(range(len(lengths)))
    for share in shares:
        rows = lengths[share]
        assert rows and len(rows) <= (most or len(rows))
        assert not tokens or len(rows) == 1 or len(rows) * -(-max(rows) // 16) * 16 <= tokens
