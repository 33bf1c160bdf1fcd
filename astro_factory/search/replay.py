"""Rebuilds trees from the model calls they store. This needs the model's tokenizer but not the model.

A tree that comes out equal depends on nothing but its problem, its policy and these calls.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source
from astro_factory.core.trees import Call, Tree
from astro_factory.engines.base import Engine, Request, Sample, room_for
from astro_factory.search.config import PolicyConfig
from astro_factory.search.driver import Search
from astro_factory.search.tree_builder import prompt_digest


class ReplayEngine(Engine):
    """Answers requests with the stored calls of one tree at a time."""

    tokenizer: Any

    def __init__(self, folder: Path, max_model_len: int | None = None):
        from transformers import AutoConfig, AutoTokenizer

        source = model_source(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        self.max_model_len = max_model_len or config.max_position_embeddings
        self._end_ids = _end_ids(source, self.tokenizer)
        self._calls: dict[tuple[str, int], Call] = {}

    def load(self, tree: Tree) -> None:
        """Answer with this tree's calls from now on."""
        self._calls = {(call.prompt, call.seed): call for call in tree.calls}

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """Raises `UserError` E618 for a sample that is not stored."""
        return [[self._sample(request, seed) for seed in request.seeds] for request in requests]

    def _sample(self, request: Request, seed: int) -> Sample:
        from astro_factory.engines.stops import Stops

        call = self._calls.get((prompt_digest(request), seed))
        if call is None:
            raise UserError.of(
                "E618",
                "the policy requests a sample that the tree does not contain",
                "replay it with the spec and the version that built it",
            )
        text = self.tokenizer.decode(call.ids, skip_special_tokens=True)
        before = Stops.cut(text, request.stop)
        if before is not None:
            return Sample(call.ids, before, call.logprobs, "stop")
        ended = call.ids[-1] in self._end_ids or len(call.ids) < room_for(request, self.max_model_len)
        return Sample(call.ids, text, call.logprobs, "eos" if ended else "length")


class Replay:
    """Replays the trees of one search."""

    def __init__(self, folder: Path, policy: PolicyConfig, seed: int, max_model_len: int | None = None):
        """`folder` is the model's; `max_model_len` is the engine's setting, if it had one."""
        self._engine = ReplayEngine(folder, max_model_len)
        self._policy, self._seed = policy, seed

    def rebuild(self, tree: Tree) -> Tree:
        """The tree that the policy builds from the calls of this one. Raises `UserError` E618."""
        self._engine.load(tree)
        search = Search(self._engine, self._policy, self._seed)
        finished = search.advance({"": tree.problem})
        while not finished:
            finished = search.advance({})
        return finished[""]

    def reproduces(self, tree: Tree) -> bool:
        """Whether the stored calls give exactly this tree."""
        try:
            return self.rebuild(tree) == tree
        except UserError:
            return False


def _end_ids(source: Path, tokenizer: Any) -> set[int]:
    from transformers import GenerationConfig

    from astro_factory.engines.stops import end_ids

    try:
        generation = GenerationConfig.from_pretrained(source)
    except OSError:
        generation = None
    return set(end_ids(generation, tokenizer))
