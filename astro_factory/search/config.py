"""The search policies and their options: `search_policies:` in a spec.

Choices that the paper (arXiv 2507.00417, section 2) leaves open are options with a default. The numbers it gives are
in the spec `llama3_8b.yaml`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from astro_factory.core.config import Config, Definition
from astro_factory.core.registry import KindRegistry, OpenUnion
from astro_factory.core.user_code import code_digest

_USER_PROMPT = "{question}"


class StopRule(Config):
    """Ends a tree before its budget is spent: when it has enough terminals for traces (both counts are reached), or
    when the search finds nothing new."""

    right: int = Field(1, ge=0)
    """Terminals with a correct answer."""
    wrong_distinct: int = Field(2, ge=0)
    """Incorrect terminals with different answers."""
    patience: int | None = Field(None, gt=0)
    """Also stop after this many consecutive iterations (levels, in beam and breadth-first search) without another
    correct terminal or a new wrong answer. Default: never."""


class SamplingConfig(Config):
    """Options of all policies: how the model is prompted, and what a step is."""

    system_prompt: str = ""
    """System message, for example a request for numbered steps; empty for none."""
    user_prompt: str = _USER_PROMPT
    """User message; `{question}` is replaced by the problem's question."""
    delimiter: str = Field("\n", min_length=1)
    """String that ends a step. Blank steps are ignored."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of steps and rollouts."""
    max_rollout_tokens: int = Field(1024, gt=0)
    """Token limit of a rollout. A longer one is cut off: it counts as incorrect, and its last step is dropped."""
    rollout_stop: tuple[str, ...] = ()
    """Strings that end a rollout early, in domains where the verifier does not need the rest (countdown: `answer`)."""
    max_depth: int = Field(50, gt=0)
    """Maximum number of steps on a path."""

    def limits(self) -> tuple[int, int] | None:
        """Upper bounds on the samples and sampled tokens of a tree; None if the config sets no bound."""
        return None

    @model_validator(mode="after")
    def _contains_the_question(self) -> "SamplingConfig":
        if _USER_PROMPT not in self.user_prompt:
            raise ValueError(f"user_prompt does not contain {_USER_PROMPT}")
        return self


class SelfEvaluation(Config):
    """The model's own opinion of a state: the share of `votes` that are yes."""

    prompt: str = "{question}\n\n{steps}\n\nIs this on the way to a right solution? Answer yes or no."
    """User message; `{question}` and `{steps}` are replaced by the problem's question and the steps so far."""
    votes: int = Field(4, gt=0)
    """Answers sampled for each state."""
    yes: str = Field("yes", min_length=1)
    """An answer that starts with this text (in upper or lower case) is a yes."""
    max_tokens: int = Field(8, gt=0)
    """Token limit of an answer."""

    @model_validator(mode="after")
    def _contains_the_state(self) -> "SelfEvaluation":
        if missing := [name for name in ("{question}", "{steps}") if name not in self.prompt]:
            raise ValueError(f"prompt does not contain {' and '.join(missing)}")
        return self


class StepsConfig(SamplingConfig):
    """Options of the policies that sample single steps."""

    expansions: int = Field(8, gt=0)
    """k: number of next steps sampled when a node is expanded."""
    max_step_tokens: int = Field(256, gt=0)
    """Token limit of a single step; a longer one is dropped."""
    prior: Literal["uniform", "share", "logprob"] = "logprob"
    """P(a|S): equal for all siblings (`uniform`), the share of the samples that gave the step (`share`), or the softmax
    over the siblings of the step's mean token log-probability (`logprob`)."""
    merge_equal_steps: bool = True
    """Merge equal next steps into one node."""
    stop: StopRule | None = None
    """When to stop before the budget is spent. Default: never."""
    self_evaluation: SelfEvaluation | None = None
    """How the model is asked for its opinion, if the policy uses it."""

    def _limits(self, expanded: int, evaluation: SelfEvaluation | None) -> tuple[int, int]:
        """`limits` for the steps of `expanded` nodes and, with `evaluation`, the votes on these steps."""
        steps = expanded * self.expansions
        votes, vote_tokens = (evaluation.votes, evaluation.max_tokens) if evaluation else (0, 0)
        return steps * (1 + votes), steps * (self.max_step_tokens + votes * vote_tokens)


class MctsConfig(StepsConfig):
    """Monte Carlo tree search with PUCT selection and values from rollouts (paper, Eq. 1-4)."""

    kind: Literal["mcts"]
    rollouts: int = Field(16, ge=0)
    """M: number of rollouts of a new node; their mean score is its reward."""
    iterations: int = Field(32, gt=0)
    """Number of selections, each followed by an expansion and a backup."""
    c_puct: float = Field(1.0, ge=0)
    """Weight of exploration (the prior term of PUCT) against the value."""
    value: Literal["rollouts", "terminals", "self_evaluation"] = "rollouts"
    """Where a new node's reward comes from: rollouts scored by the verifier (`rollouts`), the model's opinion
    (`self_evaluation`), or nothing, so that only verdicts on terminals count (`terminals`)."""
    candidates: Literal["steps", "rollouts"] = "steps"
    """What an expansion samples: single `steps`, or whole `rollouts`, where the first step is the candidate and the
    whole sample its first rollout. `rollouts` gives the same distribution in one pass instead of two, but if the
    verifier corrects the first step, the rest of the rollout stays as it was sampled."""
    close_finished: bool = True
    """Do not select terminals again, nor nodes with only terminals below; a tree with nothing left to select is done.
    Otherwise visits pile up on the first correct terminal."""
    keep_rollouts: bool = False
    """Add the steps of rollouts to the tree, which gives it terminals at no extra cost."""
    rollout_children: int | None = Field(None, gt=0)
    """Roll out only this many new children of an expansion, those with the highest priors. The others take the mean
    reward of their siblings as their value until they are selected. Default: all."""
    first_rollouts: int | None = Field(None, gt=0)
    """Sample this many rollouts first, and the rest of `rollouts` only for nodes where the first ones disagree.
    Default: all at once."""
    count_evaluation: bool = True
    """Count the rollouts of a new node as its first visit, so that they reach its ancestors at once (Eq. 4). Otherwise
    only selections count as visits."""

    def limits(self) -> tuple[int, int]:
        if self.value != "rollouts":
            return self._limits(self.iterations, self.self_evaluation if self.value == "self_evaluation" else None)
        nodes = self.iterations * min(self.rollout_children or self.expansions, self.expansions)
        whole = self.iterations * self.expansions if self.candidates == "rollouts" else 0
        rollouts = max(nodes * self.rollouts, whole)
        calls, tokens = (0, 0) if whole else self._limits(self.iterations, None)
        return calls + rollouts, tokens + rollouts * self.max_rollout_tokens

    @model_validator(mode="after")
    def _can_reach_terminals(self) -> "MctsConfig":
        if self.value == "self_evaluation" and self.self_evaluation is None:
            raise ValueError("value: self_evaluation needs the section `self_evaluation`; `{}` means its defaults")
        if self.value != "rollouts" and self.candidates == "rollouts":
            raise ValueError(f"value: {self.value} uses no rollouts, so candidates must be `steps`")
        if self.value != "rollouts" and self.iterations < self.max_depth:
            raise ValueError(
                f"without rollouts, {self.iterations} iterations cannot reach max_depth {self.max_depth}; "
                "raise iterations or lower max_depth"
            )
        return self


class BeamConfig(StepsConfig):
    """Beam search: level by level, only the best states are expanded. All terminals stay in the tree."""

    kind: Literal["beam"]
    width: int = Field(8, gt=0)
    """Number of states expanded at each level."""
    rank: Literal["likelihood", "self_evaluation"] = "likelihood"
    """How states are ranked: by the product of the priors on their path, or by the model's opinion."""

    def limits(self) -> tuple[int, int]:
        return self._limits(
            self.max_depth * self.width, self.self_evaluation if self.rank == "self_evaluation" else None
        )

    @model_validator(mode="after")
    def _can_rank(self) -> "BeamConfig":
        if self.rank == "self_evaluation" and self.self_evaluation is None:
            raise ValueError("rank: self_evaluation needs the section `self_evaluation`; `{}` means its defaults")
        return self


class _ExhaustiveConfig(StepsConfig):
    """Options of depth-first and breadth-first search."""

    max_expansions: int = Field(64, gt=0)
    """Budget: number of nodes to expand."""
    prune_below: float = Field(0.0, ge=0, le=1)
    """Do not expand states whose prior (with `self_evaluation`: share of yes votes) is below this."""

    def limits(self) -> tuple[int, int]:
        return self._limits(self.max_expansions, self.self_evaluation)

    @model_validator(mode="after")
    def _can_reach_terminals(self) -> "_ExhaustiveConfig":
        if self.max_expansions < self.max_depth:
            raise ValueError(
                f"{self.max_expansions} expansions cannot reach max_depth {self.max_depth}; "
                "raise max_expansions or lower max_depth"
            )
        return self


class DfsConfig(_ExhaustiveConfig):
    """Depth-first search: takes the most likely step first and returns to the next one at terminals and dead ends."""

    kind: Literal["dfs"]


class BfsConfig(_ExhaustiveConfig):
    """Breadth-first search: expands all states of a level before the next level, most likely steps first."""

    kind: Literal["bfs"]


class BestOfNConfig(SamplingConfig):
    """n independent completions, merged where they start with the same steps: the control without search."""

    kind: Literal["best_of_n"]
    n: int = Field(16, gt=0)
    """Number of completions per problem."""

    def limits(self) -> tuple[int, int]:
        return self.n, self.n * self.max_rollout_tokens


class PythonPolicyConfig(SamplingConfig):
    """Your own policy."""

    kind: Literal["python"]
    target: str = Field(pattern=r"^[\w.]+:\w+$")
    """`package.module:function`: a generator function of (builder, config), like `astro_factory.search.mcts.grow`."""
    code: str = Field(default_factory=lambda known: code_digest(known.get("target", "")))
    """Digest of the source of `target` and of the modules it imports from its own package, so that a changed source
    changes the key. Set it to something else, such as a version, to decide yourself when the key changes."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of your function, which reads them from its config."""


POLICIES = KindRegistry(
    "astro_factory.search_policies",
    "search policy",
    "E611",
    {kind: f"astro_factory.search.{kind}" for kind in ("mcts", "best_of_n", "beam", "dfs", "bfs")} | {"python": ""},
    base=SamplingConfig,
    needs=["grow"],
)
"""Other packages add a module with a `Config` and a generator `grow(builder, config)`."""

PolicyConfig = Annotated[
    MctsConfig | BestOfNConfig | BeamConfig | DfsConfig | BfsConfig | PythonPolicyConfig,
    Field(discriminator="kind"),
    OpenUnion(POLICIES),
]
PolicyField = Annotated[PolicyConfig, Definition("search_policies")]
