"""Makes trees again from the model calls that they store: no model is needed, its tokenizer is.

A tree that comes out equal shows that nothing went into it but its problem, its policy and these calls.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source
from astro_factory.core.trees import Call, Tree
from astro_factory.engines.base import Engine, Request, Sample, room_for
from astro_factory.search.config import SamplingConfig
from astro_factory.search.driver import Search
from astro_factory.search.tree_builder import prompt_digest


class ReplayEngine(Engine):
    """Answers with the calls of one tree at a time."""

    def __init__(self, folder: Path, max_model_len: int | None = None):
        from transformers import AutoConfig, AutoTokenizer

        source = model_source(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.max_model_len = max_model_len or AutoConfig.from_pretrained(source).max_position_embeddings
        self._ends = _ends(source, self.tokenizer)
        self._calls: dict[tuple[str, int], Call] = {}

    def load(self, tree: Tree) -> None:
        """Answer with this tree's calls from now on."""
        self._calls = {(call.prompt, call.seed): call for call in tree.calls}

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """Raises `UserError` E618 for a sample that was not stored."""
        return [[self._sample(request, seed) for seed in request.seeds] for request in requests]

    def _sample(self, request: Request, seed: int) -> Sample:
        from astro_factory.engines.stops import Stops

        call = self._calls.get((prompt_digest(request), seed))
        if call is None:
            raise UserError.of(
                "E618",
                "a tree does not hold a sample that its policy asks for",
                "replay it with the spec and the version that made it",
            )
        text = self.tokenizer.decode(call.ids, skip_special_tokens=True)
        before = Stops.cut(text, request.stop)
        if before is not None:
            finish = "stop"
        else:
            ended = call.ids[-1] in self._ends or len(call.ids) < room_for(request, self.max_model_len)
            finish = "eos" if ended else "length"
        return Sample(call.ids, text if before is None else before, call.logprobs, finish)


class Replay:
    """Replays the trees of one search."""

    def __init__(self, folder: Path, policy: SamplingConfig, seed: int, max_model_len: int | None = None):
        """`folder` is the model's; `max_model_len` is the engine's, where it had one of its own."""
        self._calls = ReplayEngine(folder, max_model_len)
        self._policy, self._seed = policy, seed

    def rebuild(self, tree: Tree) -> Tree:
        """The tree that the policy grows from the calls of this one. Raises `UserError` E618."""
        self._calls.load(tree)
        search = Search(self._calls, self._policy, self._seed)
        done = search.advance({"": tree.problem})
        while not done:
            done = search.advance({})
        return done[""]

    def reproduces(self, tree: Tree) -> bool:
        """Whether the tree is what its calls give."""
        try:
            return self.rebuild(tree) == tree
        except UserError:
            return False


def _ends(source: Path, tokenizer: Any) -> set[int]:
    from transformers import GenerationConfig

    from astro_factory.engines.stops import end_ids

    try:
        generation = GenerationConfig.from_pretrained(source)
    except OSError:
        generation = None
    return set(end_ids(generation, tokenizer))
