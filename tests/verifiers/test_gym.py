import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome
from astro_factory.verifiers import gym
from astro_factory.verifiers.gym import ReasoningGymVerifier, extract, pack, unpack
from astro_factory.verifiers.pool import WorkerPool

reasoning_gym = pytest.importorskip("reasoning_gym")


def make(task: str, index: int = 0) -> Problem:
    entry = reasoning_gym.create_dataset(task, size=index + 1, seed=1)[index]
    info = {"task": task, "metadata": pack(entry["metadata"])}
    return Problem.from_row(Problem("p", entry["question"], entry["answer"] or "", "reasoning_gym", info).as_row())


@pytest.mark.parametrize("task", ["chain_sum", "arc_agi", "countdown"])
def test_its_own_answer_is_correct_and_another_is_not(task):
    verifier, problem = ReasoningGymVerifier(), make(task)
    assert verifier.check_problem(problem) is None
    verdict = verifier.verify(problem, f"thinking <answer>{problem.answer}</answer>")
    assert verdict.correct and verdict.extracted == problem.answer.strip()
    assert verifier.verify(problem, "<answer>-1</answer>").outcome is Outcome.INCORRECT


def test_no_answer_too_long_and_unscorable():
    verifier, problem = ReasoningGymVerifier(), make("chain_sum")
    assert verifier.verify(problem, "well").outcome is Outcome.NO_ANSWER
    assert "longer than" in verifier.verify(problem, f"<answer>{'1' * 30_000}</answer>").detail
    odd = Problem("p", "?", "1", "reasoning_gym", {"task": "no_such_task", "metadata": {}})
    assert verifier.verify(odd, "<answer>1</answer>").outcome is Outcome.ERROR


def test_a_hang_is_a_timeout(monkeypatch):
    pool = WorkerPool("tests.core.worker_functions:hang", size=1, timeout_s=0.3, memory_bytes=0)
    monkeypatch.setattr(gym, "_pool", lambda: pool)
    assert ReasoningGymVerifier().verify(make("chain_sum"), "<answer>1</answer>").outcome is Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("answer", "info", "reason"),
    [
        ("1", {}, "info needs 'task', a name, and 'metadata', a mapping"),
        ("1", {"task": "no_such_task", "metadata": {}}, "reasoning-gym has no task 'no_such_task'"),
        ("1", {"task": "chain_sum", "metadata": {}}, None),
        ("x", {"task": "sudoku", "metadata": {}}, "its task cannot score the answer: KeyError"),
    ],
)
def test_what_cannot_be_scored_is_named(answer, info, reason):
    found = ReasoningGymVerifier().check_problem(Problem("p", "?", answer, "reasoning_gym", info))
    assert found == reason or found.startswith(reason)


def test_missing_package_is_a_user_error(monkeypatch):
    monkeypatch.setattr(gym, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"E403 reasoning-gym is not installed; install it with `pip install"):
        ReasoningGymVerifier().check_problem(Problem("p", "?", "1", "reasoning_gym"))


def test_tuples_survive_the_json_column():
    value = {"grid": ((1, 2), [3, (4,)]), "name": "x", "none": None}
    assert unpack(pack(value)) == value
    with pytest.raises(TypeError, match="metadata holds a set"):
        pack({"a": {1, 2}})


@pytest.mark.parametrize(
    ("text", "answer"),
    [("<answer>1</answer> <answer> 2\n3 </answer>", "2\n3"), (r"\boxed{4}", "4"), ("Answer: 5", "5"), ("6", "")],
)
def test_extracts_the_tagged_answer_first(text, answer):
    assert extract(text) == answer
