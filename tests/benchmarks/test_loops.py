"""Loops around an arm of a shipped export, at a mean of tokens."""

import sys

from benchmarks import loops


def test_a_loop_that_stops_failed_tests_gets_further_with_the_same_tokens(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["loops", "guess_pairs_0", "--arm", "base", "--tokens", "80"])
    loops.main()
    whole, stopped = capsys.readouterr().out.splitlines()
    assert whole == "sample_and_check: 0.456 for 79.8 tokens, out of samples in 0.000"
    assert stopped.startswith("check_steps: 0.92")
