"""The search policies and their options: `search_policies:` in a spec.

What the paper (arXiv 2507.00417, section 2) leaves open is an option with a default here. Numbers that it gives are in
the spec `llama3_8b.yaml`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from astro_factory.core.config import Config, Definition
from astro_factory.core.user_code import code_digest

_USER_PROMPT = "{question}"


class StopRule(Config):
    """When a tree is done before its budget is spent: it holds enough to make traces of (both counts have to be
    reached), or nothing new comes any more."""

    right: int = Field(1, ge=0)
    """Ends with a right answer."""
    wrong_distinct: int = Field(2, ge=0)
    """Wrong ends with different answers."""
    patience: int | None = Field(None, gt=0)
    """End as well after so many iterations (of beam and breadth-first search: levels) in a row without a further right
    end or a new wrong answer, so that tokens go where the outcome is open. Default: never."""


class SamplingConfig(Config):
    """What all policies share: how the model is asked, and what a step is."""

    system_prompt: str = ""
    """System message, such as the wish for a solution in numbered steps; empty for none."""
    user_prompt: str = _USER_PROMPT
    """User message; `{question}` stands for the problem's question."""
    delimiter: str = Field("\n", min_length=1)
    """What ends a step. Blank steps do not count."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of steps and rollouts."""
    max_rollout_tokens: int = Field(1024, gt=0)
    """Longest completion to the end; a longer one is cut and counts as wrong, its last step as not made."""
    rollout_stop: tuple[str, ...] = ()
    """Strings that end a completion early, where the verifier's domain needs no more of it (countdown: `answer`)."""
    max_depth: int = Field(50, gt=0)
    """Most steps of a path."""

    def limits(self) -> tuple[int, int] | None:
        """The most samples and sampled tokens of a tree; None where the config sets no limit."""
        return None

    @model_validator(mode="after")
    def _asks_the_question(self) -> "SamplingConfig":
        if _USER_PROMPT not in self.user_prompt:
            raise ValueError(f"user_prompt lacks {_USER_PROMPT}")
        return self


class SelfEvaluation(Config):
    """The model's own opinion of a state: the share of `votes` that say yes."""

    prompt: str = "{question}\n\n{steps}\n\nIs this on the way to a right solution? Answer yes or no."
    """User message; `{question}` and `{steps}` stand for the problem's question and the steps so far."""
    votes: int = Field(4, gt=0)
    """Answers sampled for each state."""
    yes: str = Field("yes", min_length=1)
    """An answer that begins so, in either case, is a yes."""
    max_tokens: int = Field(8, gt=0)
    """Longest answer."""

    @model_validator(mode="after")
    def _shows_the_state(self) -> "SelfEvaluation":
        if missing := [name for name in ("{question}", "{steps}") if name not in self.prompt]:
            raise ValueError(f"prompt lacks {' and '.join(missing)}")
        return self


class StepsConfig(SamplingConfig):
    """What the policies share that sample single steps."""

    expansions: int = Field(8, gt=0)
    """k: next steps sampled when a node is expanded."""
    max_step_tokens: int = Field(256, gt=0)
    """Longest single step; a longer one is dropped."""
    prior: Literal["uniform", "share", "logprob"] = "logprob"
    """P(a|S): all alike, the share of the samples that gave this step, or the softmax over the siblings of the step's
    mean token log-probability."""
    merge_equal_steps: bool = True
    """Equal next steps are one node."""
    stop: StopRule | None = None
    """When to end before the budget is spent; default: never."""
    self_evaluation: SelfEvaluation | None = None
    """How the model is asked for its opinion, where the policy uses it."""

    def _limits(self, expanded: int, evaluates: bool) -> tuple[int, int]:
        """`limits` of the steps of so many expanded nodes, and of the votes on them."""
        steps = expanded * self.expansions
        votes = steps * self.self_evaluation.votes if evaluates and self.self_evaluation else 0
        longest = self.self_evaluation.max_tokens if votes else 0
        return steps + votes, steps * self.max_step_tokens + votes * longest


class MctsConfig(StepsConfig):
    """Monte Carlo tree search with PUCT selection and values from rollouts (paper, Eq. 1-4)."""

    kind: Literal["mcts"]
    rollouts: int = Field(16, ge=0)
    """M: completions to the end that give a new node its reward, the mean of their scores."""
    iterations: int = Field(32, gt=0)
    """Selections, each followed by an expansion and a backup."""
    c_puct: float = Field(1.0, ge=0)
    """Weight of the prior and of curiosity against the value."""
    value: Literal["rollouts", "terminals", "self_evaluation"] = "rollouts"
    """Where a new node's reward comes from: `rollouts` to the end that the verifier scores; nowhere, so that only the
    verdicts on ends that the tree itself reaches count (`terminals`); or the model's opinion (`self_evaluation`)."""
    candidates: Literal["steps", "rollouts"] = "steps"
    """What an expansion samples: single `steps`, or whole `rollouts`, of which the first step is the candidate and all
    is its first rollout. The second has the same distribution and needs one pass instead of two; a verifier that
    corrects a step's result leaves the rest of its rollout as it was."""
    close_finished: bool = True
    """Ends, and nodes with nothing but ends below, are not selected again; a tree with nothing left is done. Without
    it visits pile up on the first right end."""
    keep_rollouts: bool = False
    """The steps of rollouts become nodes, so that the tree gets its ends for free."""
    rollout_children: int | None = Field(None, gt=0)
    """Roll out only this many new nodes of an expansion, the most likely ones by their prior; the others get no reward
    and count with the mean of their siblings until they are selected. Default: all."""
    first_rollouts: int | None = Field(None, gt=0)
    """Adaptive number of rollouts: so many first, and the rest of `rollouts` only for nodes where these disagree.
    Default: all at once."""
    count_evaluation: bool = True
    """A new node's rollouts are its first visit, so that they reach its ancestors at once (Eq. 4); else only visits by
    selection count."""

    def limits(self) -> tuple[int, int]:
        if self.value != "rollouts":
            return self._limits(self.iterations, self.value == "self_evaluation")
        nodes = self.iterations * min(self.rollout_children or self.expansions, self.expansions)
        whole = self.iterations * self.expansions if self.candidates == "rollouts" else 0
        rollouts = max(nodes * self.rollouts, whole)
        calls, tokens = (0, 0) if whole else self._limits(self.iterations, False)
        return calls + rollouts, tokens + rollouts * self.max_rollout_tokens

    @model_validator(mode="after")
    def _can_finish(self) -> "MctsConfig":
        if self.value == "self_evaluation" and self.self_evaluation is None:
            raise ValueError("value: self_evaluation needs `self_evaluation`; `{}` takes its defaults")
        if self.value != "rollouts" and self.candidates == "rollouts":
            raise ValueError(f"value: {self.value} has no rollouts, so candidates have to be `steps`")
        if self.value != "rollouts" and self.iterations < self.max_depth:
            raise ValueError(
                f"without rollouts {self.iterations} iterations cannot reach an end at max_depth {self.max_depth}; "
                "raise iterations or lower max_depth"
            )
        return self


class BeamConfig(StepsConfig):
    """Beam search: level by level, only the best states are gone on from; right and wrong ends stay in the tree."""

    kind: Literal["beam"]
    width: int = Field(8, gt=0)
    """States that are gone on from at each level."""
    rank: Literal["likelihood", "self_evaluation"] = "likelihood"
    """What makes a state good: the product of its path's priors, or the model's opinion."""

    def limits(self) -> tuple[int, int]:
        return self._limits(self.max_depth * self.width, self.rank == "self_evaluation")

    @model_validator(mode="after")
    def _can_rank(self) -> "BeamConfig":
        if self.rank == "self_evaluation" and self.self_evaluation is None:
            raise ValueError("rank: self_evaluation needs `self_evaluation`; `{}` takes its defaults")
        return self


class _ExhaustiveConfig(StepsConfig):
    """What depth-first and breadth-first search share."""

    max_expansions: int = Field(64, gt=0)
    """Budget: nodes whose next steps are sampled."""
    prune_below: float = Field(0.0, ge=0, le=1)
    """States are not gone on from where their prior, or with `self_evaluation` the share of votes, is lower."""

    def limits(self) -> tuple[int, int]:
        return self._limits(self.max_expansions, True)

    @model_validator(mode="after")
    def _can_finish(self) -> "_ExhaustiveConfig":
        if self.max_expansions < self.max_depth:
            raise ValueError(
                f"{self.max_expansions} expansions cannot reach an end at max_depth {self.max_depth}; "
                "raise max_expansions or lower max_depth"
            )
        return self


class DfsConfig(_ExhaustiveConfig):
    """Depth-first search: the likeliest step first, back to the next one at every end and dead end."""

    kind: Literal["dfs"]


class BfsConfig(_ExhaustiveConfig):
    """Breadth-first search: all states of a level before those of the next, the likeliest steps first."""

    kind: Literal["bfs"]


class BestOfNConfig(SamplingConfig):
    """n independent completions, merged where they begin alike: the control without search."""

    kind: Literal["best_of_n"]
    n: int = Field(16, gt=0)
    """Completions of each problem."""

    def limits(self) -> tuple[int, int]:
        return self.n, self.n * self.max_rollout_tokens


class PythonPolicyConfig(SamplingConfig):
    """A policy of one's own."""

    kind: Literal["python"]
    target: str = Field(pattern=r"^[\w.]+:\w+$")
    """`package.module:function`, a generator that takes (builder, config) as `astro_factory.search.mcts.grow` does."""
    code: str = Field(default_factory=lambda known: code_digest(known.get("target", "")))
    """Digest of the source of `target` and of what it imports of its own package, so that a changed source is a changed
    key. Write something else, such as a version, to decide yourself when it has changed."""
    options: dict[str, Any] = Field(default_factory=dict)
    """For the function; it finds them in its config."""


PolicyConfig = Annotated[
    MctsConfig | BestOfNConfig | BeamConfig | DfsConfig | BfsConfig | PythonPolicyConfig, Field(discriminator="kind")
]
PolicyField = Annotated[PolicyConfig, Definition("search_policies")]
