"""Prompts that begin at a state: the beginning is given to the model and judged with the rest, and not learned."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from astro_factory.core.chat import encode_prompt, encode_text
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.training.grpo import make_arguments, make_trainer
from astro_factory.training.weights import load_model, load_tokenizer
from tests.training.test_grpo import PROBLEMS, settings_of, task_of
from tests.training.tiny import make_model

STATES = {"p0#1": "1 + 2 = 3 \n", "p1#2": "4 - 1 = 3 \n"}
SETTINGS = settings_of(start_from={"trees": "trees"}, max_new_tokens=6, max_replacements=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("base"))


def a_round(base, folder):
    """The trainer after it sampled and scored a round, the batch, and the texts that were judged, by problem."""
    judged: dict[str, list[str]] = {}

    def judge(problem, response) -> Verdict:
        judged.setdefault(problem.id, []).append(response)
        return Verdict(Outcome.CORRECT if len(judged[problem.id]) % 2 else Outcome.INCORRECT)

    states = [Problem(name, "7 , 7", "1", "says") for name in STATES]
    task = replace(task_of(SETTINGS), problems=PROBLEMS + states, beginnings=list(STATES.values()), judge=judge)
    trainer = make_trainer(
        SETTINGS, task, make_arguments(SETTINGS, folder), load_model(SETTINGS, base), load_tokenizer(base)
    )
    trainer.model.train()
    trainer._rows = [row for row in trainer.train_dataset.select(range(4)) for _ in range(4)]
    return trainer, trainer._generate_and_score_completions(trainer._rows), judged


def test_a_state_is_prompt_and_not_response_and_is_judged_with_it(base, tmp_path):
    trainer, batch, judged = a_round(base, tmp_path)
    tokenizer, problems = trainer._text_tokenizer, trainer._task.problems
    asked = [row["problem"] for row in trainer._rows]
    assert [index >= len(PROBLEMS) for index in asked[::4]] == [False, True, False, True]
    for row, index in enumerate(asked):
        given = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
        sampled = batch["completion_ids"][row][batch["completion_mask"][row].bool()].tolist()
        question = encode_prompt(tokenizer, [{"role": "user", "content": problems[index].question}])
        beginning = STATES.get(problems[index].id, "")
        assert given == question + encode_text(tokenizer, beginning) and 0 < len(sampled) <= 6
        whole = tokenizer.decode(encode_text(tokenizer, beginning) + sampled, skip_special_tokens=True)
        assert whole in judged[problems[index].id] and whole.startswith(beginning.split("\n")[0].strip())
    assert trainer._tokenize_prompts([row["prompt"] for row in trainer._rows])[0] == [
        trainer._task.prompt_ids(tokenizer, index) for index in asked
    ], "what vLLM would continue"


def test_only_what_follows_a_state_has_a_loss(base, tmp_path):
    """The loss is the same whatever the model gives the beginning's tokens: it reads only the response's columns."""
    trainer, batch, _ = a_round(base, tmp_path)
    rows = [row for row, one in enumerate(trainer._rows) if one["problem"] >= len(PROBLEMS)]
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)[rows]
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)[rows]
    width = batch["completion_ids"].shape[1]
    log_probs, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, width)
    assert log_probs.shape == (len(rows), width)
    counted = (log_probs != 0).sum(1)
    assert counted.tolist() == batch["completion_mask"][rows].sum(1).tolist()


def test_a_share_of_less_than_a_prompt_is_refused():
    with pytest.raises(ValidationError, match=r"start_from\.share \(0\.2\) of 4 prompts is less than one"):
        settings_of(start_from={"trees": "trees", "share": 0.2})
