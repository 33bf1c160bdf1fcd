"""A toy domain: a path of `length` letters is correct if it spells the answer."""

from pathlib import Path
from typing import Any

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.engines.base import Sample
from astro_factory.search.config import SamplingConfig
from astro_factory.search.prompts import Prompts
from astro_factory.search.tree_builder import TreeBuilder
from astro_factory.verifiers.base import Verifier

NAME = f"python:{__name__}:Letters"


class Letters(Verifier):
    """Steps are single letters from a to d; upper case is completed to lower case."""

    name = NAME

    def check_problem(self, problem):
        return None

    def verify(self, problem, response):
        found = response.rsplit("answer ", 1)
        if len(found) < 2:
            return Verdict(Outcome.NO_ANSWER)
        right = found[1] == problem.answer
        return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, found[1])

    def complete_step(self, problem, steps, text):
        return text.lower() if text.lower() in "abcd" else None

    def is_terminal(self, problem, steps):
        return len(steps) == problem.info["length"]

    def closing(self, problem, steps):
        return f"answer {''.join(steps)}" if self.is_terminal(problem, steps) else ""

    def facts(self, problem, steps):
        return {"path": "".join(steps)}


def letters(answer: str, name: str = "p") -> Problem:
    return Problem(name, f"spell {name}", answer, NAME, {"length": len(answer)})


def make_tokenizer() -> Any:
    from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer

    return build_tokenizer(["spell", "answer", *"abcdpqrstu"], 9, CHAT_FORMATS["minimal"], 256)


def save_tokenizer(folder: Path) -> Path:
    make_tokenizer().save_pretrained(folder)
    return folder


def builder_for(problem: Problem, config: SamplingConfig, tokenizer: Any = None) -> TreeBuilder:
    return TreeBuilder(problem, Letters(), Prompts(tokenizer or make_tokenizer(), config), config, seed=0)


def sample_of(*lines: str, finish: str = "eos", logprobs: tuple[float, ...] = ()) -> Sample:
    """A sample with these lines."""
    return Sample((1,) * max(1, len(logprobs)), "\n".join(lines), logprobs or (-0.5,), finish)


def shape(tree: Any) -> dict[str, tuple]:
    """(visits, value, reward, rollouts, prior) by path of letters."""
    return {
        node.facts["path"]: (node.visits, node.value, node.reward, node.rollouts, node.prior) for node in tree.nodes
    }
