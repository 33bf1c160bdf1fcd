"""What each stage would show a model, before anything is built: prompts as text and ids, and what training learns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.chat import Message, encode_dialogue, encode_prompt, prompt_text
from astro_factory.core.graph import GraphNode
from astro_factory.core.models import POINTER
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import LINES, written
from astro_factory.core.tables import read_batches
from astro_factory.core.trees import Tree, read_trees, step_format_of
from astro_factory.report.built import BuiltSpec
from astro_factory.report.light_tokenizer import LightTokenizer
from astro_factory.search.prompts import Prompts
from astro_factory.traces.prompt_templates import Prompt
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.sample_tree import SEQUENCE, sample_tree
from astro_factory.traces.template_renderer import TemplateRenderer
from astro_factory.traces.terminals import Terminals
from astro_factory.training.rollout_schedule import plan_rounds
from astro_factory.training.token_weights import token_weights, weighted_spans

Pieces = list[tuple[str, str]]
"""Kind of segment and text."""


@dataclass
class Preview:
    """One prompt or one text to train on."""

    stage: str
    kind: str
    what: str
    """What is shown, such as `first prompt`."""
    messages: list[Message]
    prompt_ids: list[int] | None = None
    """Ids up to where the model writes; for a text to train on, all ids. None without a tokenizer."""
    mask: list[int] | None = None
    """Beside each id, whether training learns it; None for prompts."""
    tokens: list[str] | None = None
    """The text of each id."""
    pieces: Pieces = field(default_factory=list)
    """The segments of a trace."""
    notes: list[str] = field(default_factory=list)
    """What is missing, and what is shown instead."""

    @property
    def text(self) -> str:
        """All of the text: as the model sees it or, without a tokenizer, the messages."""
        if self.tokens is not None:
            return "".join(self.tokens)
        return "\n".join(message["content"] for message in self.messages)

    def as_json(self) -> dict[str, object]:
        return {
            "stage": self.stage,
            "kind": self.kind,
            "what": self.what,
            "messages": self.messages,
            "text": self.text,
            "prompt_ids": self.prompt_ids,
            "mask": self.mask,
            "notes": self.notes,
        }


def previews(spec: BuiltSpec) -> list[Preview]:
    """The previews of all stages that show a model something, in the order of the spec."""
    maker = _Previews(spec)
    return [found for item in spec.planned.values() for found in maker.of(item.node)]


class _Previews:
    """Previews of one spec; a tokenizer is loaded once."""

    def __init__(self, spec: BuiltSpec):
        self._spec = spec
        self._tokenizers: dict[str, LightTokenizer | None] = {}

    def of(self, node: GraphNode) -> Iterator[Preview]:
        makers = {
            "search": self._search,
            "linearize": self._linearize,
            "sft": self._sft,
            "grpo": self._grpo,
            "evaluate": self._evaluate,
            "judge": self._judge,
        }
        if maker := makers.get(node.kind):
            yield maker(node, node.config)

    def _search(self, node: GraphNode, config: Any) -> Preview:
        problems, notes = self._problems(node, config.problems)
        user = config.policy.user_prompt.replace("{question}", problems[0].question)
        system = config.policy.system_prompt
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": user})
        found = self._prompt(node, "first prompt", messages, config.model, notes)
        if tokenizer := self._tokenizer(node.reads[config.model]):
            found.prompt_ids = list(Prompts(tokenizer, config.policy).root(problems[0]))
        return found

    def _linearize(self, node: GraphNode, config: Any) -> Preview:
        row = self._first_row(node.name, ArtifactType.TRACES)
        if row is not None:
            pieces = [(segment["kind"], segment["text"]) for segment in row["segments"]]
            return Preview(node.name, node.kind, "first trace", row["messages"], pieces=pieces)
        messages, pieces, note = self._worded(node, config)
        return Preview(node.name, node.kind, "a trace", messages, pieces=pieces, notes=[note])

    def _sft(self, node: GraphNode, config: Any) -> Preview:
        source = node.reads[config.data]
        data = self._spec.planned[source].node
        row, notes, spans = self._first_row(source, data.output), [], []
        if row is not None:
            messages, spans = row["messages"], weighted_spans(row.get("segments") or [])
        elif data.kind == "linearize":
            messages, _, note = self._worded(data, data.config)
            notes = [note]
        else:
            return Preview(node.name, node.kind, "first text", [], notes=[f"'{source}' is not built"])
        found = Preview(node.name, node.kind, "first text, with what is learned", messages, notes=notes)
        tokenizer = self._tokenizer(node.reads[config.model])
        if tokenizer is None:
            found.notes.append(_no_tokenizer(config.model))
            return found
        encoded = encode_dialogue(tokenizer, messages)
        weights = token_weights(tokenizer, messages, encoded, spans)
        mask = [1] * len(encoded.ids) if config.loss == "all" else list(encoded.response_mask)
        if weights is not None:
            mask = [int(learned and weight > 0) for learned, weight in zip(mask, weights.tolist(), strict=True)]
        found.prompt_ids, found.mask, found.tokens = encoded.ids, mask, _pieces(tokenizer, messages)
        return found

    def _grpo(self, node: GraphNode, config: Any) -> Preview:
        problems, notes = self._problems(node, config.problems)
        rounds = plan_rounds(len(problems), rounds=1, prompts=config.prompts_per_step, seed=config.seed)
        if config.difficulty:
            notes.append("'difficulty' may choose another problem, by what is known about pass rates")
        return self._prompt(node, "first prompt", _asking(problems[rounds[0][0].problem]), config.model, notes)

    def _evaluate(self, node: GraphNode, config: Any) -> Preview:
        problems, notes = self._problems(node, config.suite.problems[0])
        return self._prompt(node, f"first prompt for {config.arms[0]}", _asking(problems[0]), config.arms[0], notes)

    def _judge(self, node: GraphNode, config: Any) -> Preview:
        tree, notes = self._tree(node.reads[config.trees])
        end = next(iter(Terminals(tree).correct), len(tree.nodes) - 1)
        steps = [tree.nodes[index].text for index in tree.path(end)]
        built = self._spec.stages.get(node.reads[config.trees])
        found = step_format_of(built.folder / TABLE_FILES[ArtifactType.TREES]) if built else None
        solution = written(found or LINES, steps, tree.nodes[end].closing)
        variables = {"problem": tree.problem, "node": tree.nodes[end], "solution": solution}
        messages = Prompt(config.prompt, "judge").messages(variables)
        return self._prompt(node, "first prompt", messages, config.model, notes)

    def _prompt(self, node: GraphNode, what: str, messages: list[Message], model: str, notes: list[str]) -> Preview:
        found = Preview(node.name, node.kind, what, messages, notes=notes)
        tokenizer = self._tokenizer(node.reads[model])
        if tokenizer is None:
            found.notes.append(_no_tokenizer(model))
        else:
            found.prompt_ids = encode_prompt(tokenizer, messages)
            found.tokens = tokenizer.pieces(prompt_text(tokenizer, messages))
        return found

    def _worded(self, node: GraphNode, config: Any) -> tuple[list[Message], Pieces, str]:
        """A trace of the sample tree, rendered with the template of a stage that is not built."""
        tree = sample_tree()
        layout = getattr(config, "steps", None) or LINES  # `rewrite` has none
        segments = render(tree, SEQUENCE, TemplateRenderer(config.template), config.seed, layout)
        messages = [*_asking(tree.problem), {"role": "assistant", "content": trace_text(segments, layout)}]
        note = f"'{node.name}' is not built; this is a trace of a sample tree"
        return messages, [(segment.kind, segment.text) for segment in segments], note

    def _problems(self, node: GraphNode, name: str) -> tuple[list[Problem], list[str]]:
        built = self._spec.stages.get(node.reads[name])
        rows = built.table().to_pylist() if built else []
        if rows:
            return [Problem.from_row(row) for row in rows], []
        return [sample_tree().problem], [f"'{name}' is not built; this is a sample problem"]

    def _tree(self, name: str) -> tuple[Tree, list[str]]:
        built = self._spec.stages.get(name)
        if built:
            for tree in read_trees(built.folder / TABLE_FILES[ArtifactType.TREES]):
                if Terminals(tree).correct:
                    return tree, []
        return sample_tree(), [f"'{name}' has no tree with a correct end in this store; this is a sample tree"]

    def _first_row(self, name: str, makes: ArtifactType) -> dict[str, Any] | None:
        built = self._spec.stages.get(name)
        if built is None:
            return None
        batch = next(islice(read_batches(built.folder / TABLE_FILES[makes], 1), 1), None)
        return batch.to_pylist()[0] if batch is not None and batch.num_rows else None

    def _tokenizer(self, name: str) -> LightTokenizer | None:
        """The tokenizer of a model or, while it is not built, of the model that it is trained from."""
        if name not in self._tokenizers:
            self._tokenizers[name] = self._load(name)
        return self._tokenizers[name]

    def _load(self, name: str) -> LightTokenizer | None:
        built = self._spec.stages.get(name)
        if built is not None:
            try:
                folder = _hub_folder(built.json(POINTER)) if POINTER in built.result.outputs else built.folder
                return LightTokenizer(folder)
            except (LookupError, ImportError, OSError):
                return None
        node = self._spec.planned[name].node
        source = getattr(node.config, "model", None)
        return self._tokenizer(node.reads[source]) if isinstance(source, str) and source in node.reads else None


def _hub_folder(pointer: dict[str, Any]) -> Any:
    """The tokenizer files of a Hub model, from the local cache alone. Raises OSError where they are not in it."""
    from pathlib import Path

    from huggingface_hub import snapshot_download

    patterns = ["tokenizer*", "chat_template*", "special_tokens_map.json"]
    return Path(
        snapshot_download(pointer["repo"], revision=pointer["revision"], allow_patterns=patterns, local_files_only=True)
    )


def _pieces(tokenizer: LightTokenizer, messages: Sequence[Message]) -> list[str]:
    """The texts of the ids of `encode_dialogue`."""
    prompt, response = prompt_text(tokenizer, messages[:-1]), messages[-1]["content"]
    return [*tokenizer.pieces(prompt), *tokenizer.pieces(response), tokenizer.eos_token]


def _asking(problem: Problem) -> list[Message]:
    return [{"role": "user", "content": problem.question}]


def _no_tokenizer(model: str) -> str:
    return f"the tokenizer of '{model}' is not in this store, so there are no ids"


def learned_spans(tokens: Sequence[str], mask: Sequence[int]) -> list[tuple[str, bool]]:
    """Runs of tokens that are all learned or all not, as text."""
    spans: list[tuple[str, bool]] = []
    for token, learned in zip(tokens, mask, strict=True):
        if spans and spans[-1][1] == bool(learned):
            spans[-1] = spans[-1][0] + token, bool(learned)
        else:
            spans.append((token, bool(learned)))
    return spans
