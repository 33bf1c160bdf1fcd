"""`judge` in other tools: as a reward function of TRL, a scorer of inspect-ai and a filter of lm-evaluation-harness."""

import asyncio

import pytest

from astro_factory.core.verdicts import Outcome
from astro_factory.verifiers.math import judge


def test_judge_takes_a_response_or_a_bare_answer():
    assert judge(r"\frac{1}{2}", r"So it is \boxed{0.5}.").outcome is Outcome.CORRECT
    assert judge(r"\frac{1}{2}", "1/2").correct
    assert not judge(r"\frac{1}{2}", "1/3", question="What is it?").correct
    assert judge("", "1").outcome is Outcome.UNPARSEABLE_GOLD


def test_reward_function_of_trl(tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tests.training.tiny import make_model

    seen = []

    def reward(completions, answer, **_):
        rewards = [float(judge(gold, text).correct) for gold, text in zip(answer, completions, strict=True)]
        seen.extend(rewards)
        return rewards

    folder = make_model(tmp_path / "model")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, num_generations=2,
        max_completion_length=4, report_to=[], use_cpu=True, bf16=False,
    )  # fmt: skip
    rows = Dataset.from_dict({"prompt": ["1+1=", "2+2="], "answer": ["2", "4"]})
    trainer = trl.GRPOTrainer(
        model=model, reward_funcs=reward, args=arguments, train_dataset=rows, processing_class=tokenizer
    )
    trainer.train()
    assert seen and set(seen) <= {0.0, 1.0}
    assert reward(["answer: 2.0", "4.1"], ["2", "4"]) == [1.0, 0.0]


def test_scorer_of_inspect_ai():
    pytest.importorskip("inspect_ai")
    from inspect_ai.model import ModelName, ModelOutput
    from inspect_ai.scorer import CORRECT, INCORRECT, Score, Target, accuracy, scorer
    from inspect_ai.solver import TaskState

    @scorer(metrics=[accuracy()])
    def math_answer():
        async def score(state, target):
            verdict = judge(target.text, state.output.completion, state.input_text)
            return Score(value=CORRECT if verdict.correct else INCORRECT, answer=verdict.answer)

        return score

    def state(response):
        output = ModelOutput.from_content("mockllm/model", response)
        return TaskState(ModelName("mockllm/model"), 1, 1, "Expand (x-1)(x+1).", [], output=output)

    right = asyncio.run(math_answer()(state(r"\boxed{x^2-1}"), Target("(x-1)(x+1)")))
    wrong = asyncio.run(math_answer()(state(r"\boxed{x^2+1}"), Target("(x-1)(x+1)")))
    assert (right.value, wrong.value) == (CORRECT, INCORRECT) and right.answer


def test_filter_of_lm_evaluation_harness():
    pytest.importorskip("lm_eval")
    from lm_eval.api.filter import Filter
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import register_filter
    from lm_eval.filters import build_filter_ensemble

    @register_filter("astro_math_verdict")
    class MathVerdict(Filter):
        """Replaces a response by the known answer where it is equal to it, for `exact_match`."""

        def apply(self, resps, docs):
            return [
                [doc["answer"] if judge(doc["answer"], text).correct else text for text in texts]
                for texts, doc in zip(resps, docs, strict=True)
            ]

    doc = {"answer": r"\frac{3}{4}"}
    requests = [
        Instance(request_type="generate_until", doc=doc, arguments=("",), idx=index, resps=[text])
        for index, text in enumerate(["The answer is 75%.", "The answer is 57%."])
    ]
    build_filter_ensemble("verdict", [["astro_math_verdict", None], ["take_first", None]]).apply(requests)
    filtered = [request.filtered_resps["verdict"] for request in requests]
    assert [text == doc["answer"] for text in filtered] == [True, False]
