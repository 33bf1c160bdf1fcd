"""Attacks on the verifiers of countdown and reasoning-gym: what a policy might write, with whether it is right."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.verifiers.countdown import question_text
from astro_factory.verifiers.countdown_puzzles import PuzzleRules, random_puzzle

GYM_TASKS = ("chain_sum", "leg_counting", "gcd", "lcm", "spell_backward")


class DomainAttack(NamedTuple):
    problem: Problem
    response: str
    is_right: bool
    kind: str


def countdown_attacks(seed: int, count: int) -> Iterator[DomainAttack]:
    """Responses to solvable puzzles: the solution in other words, and expressions that cheat."""
    rng = random.Random(seed)
    rules = PuzzleRules(numbers=[3, 4], max_value=60)
    made = 0
    while made < count:
        path = random_puzzle(rng, rules, rng.choice([3, 4]), "train")
        if path is None:
            continue
        made += 1
        numbers, target = list(path.numbers), path.end
        info = {"numbers": numbers, "target": target, "max_value": 60}
        problem = Problem(f"c{made}", question_text(numbers, target), "", "countdown", info)
        is_right = rng.random() < 0.4
        kind, response = rng.choice(_right(path.expression) if is_right else _cheats(path.expression, numbers, target))
        yield DomainAttack(problem, response, is_right, f"countdown/{kind}")


def _right(expression: str) -> list[tuple[str, str]]:
    return [
        ("plain", f"answer {expression}"), ("no spaces", f"answer {expression.replace(' ', '')}"), ("brackets", f"answer ( {expression} )"),
        ("after text", f"I try some.\n1 + 1 = 3\nanswer {expression}"), ("second thoughts", f"answer 1 + 1\nanswer {expression}"),
        ("indented", f"  answer   {expression}"), ("trailing line", f"answer {expression}\nThat is it."),
    ]  # fmt: skip


def _cheats(expression: str, numbers: list[int], target: int) -> list[tuple[str, str]]:
    number = numbers[0]
    return [
        ("target", f"answer {target}"), ("no answer", expression), ("one more", f"answer {expression} + 1"), ("times one", f"answer ( {expression} ) * 1"),
        ("plus zero", f"answer ( {expression} ) + 0"), ("number twice", f"answer ( {expression} ) + {number} - {number}"), ("equals", f"answer {expression} = {target}"),
        ("power", f"answer ( {expression} ) ** 1"), ("call", f"answer int({target})"), ("comment", f"answer {target} # {expression}"),
        ("last is wrong", f"answer {expression}\nanswer {target + 1}"), ("glued", "answer " + "".join(map(str, numbers))), ("division by zero", f"answer {expression} / 0"),
        ("unicode digits", f"answer {target}".translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))), ("negated", f"answer - ( {expression} )"), ("list", f"answer {expression}, {expression}"),
        ("or", f"answer {expression} or {target}"), ("open bracket", f"answer ( {expression}"), ("long", f"answer {expression}" + " + 0" * 300), ("underscore", f"answer {target}_0"),
        ("exponent", f"answer {target}e0"), ("spaces in a number", f"answer {' '.join(str(target))}"), ("empty", "answer "), ("other word", f"answered {expression}"),
    ]  # fmt: skip


def gym_attacks(seed: int, count: int) -> Iterator[DomainAttack]:
    """Responses to tasks with one right answer; needs reasoning-gym."""
    import reasoning_gym

    from astro_factory.verifiers.gym import pack

    rng = random.Random(seed)
    each = -(-count // len(GYM_TASKS))
    for task in GYM_TASKS:
        for number, entry in enumerate(reasoning_gym.create_dataset(task, size=each, seed=seed)):
            answer = str(entry["answer"])
            info = {"task": task, "metadata": pack(entry["metadata"])}
            problem = Problem(f"{task}{number}", entry["question"], answer, "reasoning_gym", info)
            is_right = rng.random() < 0.4
            choices = _gym_right(answer) if is_right else _gym_wrong(answer, rng)
            kind, response = rng.choice(choices)
            yield DomainAttack(problem, response, is_right, f"{task}/{kind}")


def _gym_right(answer: str) -> list[tuple[str, str]]:
    return [
        ("tags", f"<answer>{answer}</answer>"), ("spaces", f"<answer> {answer} </answer>"), ("box", rf"So \boxed{{{answer}}}."),
        ("last tag", f"<answer>x</answer> no: <answer>{answer}</answer>"), ("stated", f"The answer is {answer}"),
    ]  # fmt: skip


def _gym_wrong(answer: str, rng: random.Random) -> list[tuple[str, str]]:
    at = rng.randrange(len(answer))
    other = rng.choice([char for char in "123456789abc" if char != answer[at]])
    changed = answer[:at] + other + answer[at + 1 :]
    return [
        ("changed", f"<answer>{changed}</answer>"), ("longer", f"<answer>{answer}{other}</answer>"), ("hedge", f"<answer>{answer} or {changed}</answer>"),
        ("not", f"<answer>not {answer}</answer>"), ("none", "I do not know."), ("open tag", f"<answer>{answer}"), ("bare", answer), ("negated", f"<answer>-{answer}</answer>"),
        ("last is wrong", f"<answer>{answer}</answer><answer>{changed}</answer>"), ("list", f"<answer>{answer}, {changed}</answer>"), ("empty", "<answer></answer>"),
    ]  # fmt: skip
