"""How a sweep's table looks, whole."""

from pathlib import Path

import pytest

from astro_factory.cli.sweep_tables import print_table

BASELINE = {
    "settings": {"astro": "reflection/countdown.jinja"}, "baseline": True, "arm": "astro_sft", "seeds": 1,
    "metric": "pass@1", "means": {"pass@1": 0.7071, "tokens[mean]": 157.32, "backtracks[mean]": 2.33},
    "search_tokens": 1579302, "by_seed": {"seed=0": 0.7071},
}  # fmt: skip
TERSE = BASELINE | {
    "settings": {"astro": "reflection/terse.jinja"}, "baseline": False,
    "means": {"pass@1": 0.4475, "tokens[mean]": 92.63, "backtracks[mean]": 1.42},
    "by_seed": {"seed=0": 0.4475}, "difference": -0.25969, "low": -0.2822, "high": -0.2351, "p": 0.001, "p_holm": 0.008,
}  # fmt: skip
ONE_SEARCH = """\
astro      pass@1  difference               p (Holm)  tokens  backtracks
countdown  0.707   baseline                           157.3   2.3
terse      0.448   -0.260 [-0.282, -0.235]  0.008     92.6    1.4
1 seed; intervals of 95% over problems only, which say nothing about other seeds
searches: 1 run, 0 reused; 1,579,302 tokens a variant
  out/sweep.json
  out/sweep.parquet
"""
TWO_SEARCHES_AND_ARMS = """\
policy   arm        pass@1  over seeds    difference               p (Holm)  tokens  search tokens  seeds
mcts     astro_sft  0.707   0.70 to 0.71  baseline                           157.3   1,579,302      2
samples  direct     0.448                 -0.260 [-0.282, -0.235]  0.008     92.6    0              1, then dropped
2 seeds; intervals of 95% over problems and seeds
dropped variants have intervals from fewer seeds (with one seed, over problems only); kept variants were selected by seeds that are part of their results
searches: 1 run, 0 reused
  out/sweep.json
  out/sweep.parquet
"""  # noqa: E501


TWO_SEEDS = {"seed=0": 0.7009, "seed=1": 0.7133}


def without_backtracks(row, **changes):
    return row | {"means": {k: v for k, v in row["means"].items() if k != "backtracks[mean]"}} | changes


@pytest.mark.parametrize(
    ("rows", "halving", "text"),
    [
        ([BASELINE, TERSE], None, ONE_SEARCH),
        (
            [
                without_backtracks(
                    BASELINE, settings={"policy": "mcts"}, dropped_after=None, seeds=2, by_seed=TWO_SEEDS
                ),
                without_backtracks(
                    TERSE, settings={"policy": "samples"}, dropped_after=1, arm="direct", search_tokens=None
                ),
            ],
            [],
            TWO_SEARCHES_AND_ARMS,
        ),
    ],
)
def test_a_table_shows_what_differs_whole_on_a_narrow_screen(monkeypatch, capsys, rows, halving, text):
    monkeypatch.setenv("COLUMNS", "60")
    table = {"rows": rows, "halving": halving, "searches_run": 1, "searches_there": 0, "failures": {}}
    print_table(table, Path("out"))
    assert "\n".join(map(str.rstrip, capsys.readouterr().out.splitlines())) + "\n" == text
