import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.verifiers.math.extraction import final_answer, unwrap

CASES = json.loads(Path(__file__).with_name("extraction_cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:40])
def test_finds_the_stated_answer_and_no_other(case):
    for text in (case["text"], case["text"] + "\r\n", case["text"].replace("\n", "\r\n")):
        assert final_answer(text) == case["answer"]


@given(st.text(alphabet="\\boxed{}$ answer is:.*#1", max_size=200))
def test_never_raises_and_unwraps_fully(text):
    answer = final_answer(text)
    assert unwrap(answer) == answer


@pytest.mark.parametrize("text", ["\\boxed{" * 20_000, "{" * 100_000, "answer is " * 20_000, "$" * 50_000])
def test_reads_long_text_in_linear_time(text):
    start = time.process_time()
    final_answer(text)
    assert time.process_time() - start < 2
