"""The search policies and their options: `search_policies:` in a spec.

Choices that the paper (arXiv 2507.00417, section 2) leaves open are options with a default. Where the paper is known,
the default follows it and the departures are options; the numbers it gives are in the spec `llama3_8b.yaml`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from astro_factory.core.config import LATER, Config, Definition, UserCode
from astro_factory.core.registry import KindRegistry, OpenUnion
from astro_factory.core.step_format import Delimiter, StepLayout, StepsField
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
    correct terminal or a new wrong answer. Default: never. Where only expansions find terminals, as with `value:
    verifier`, it has to exceed the number of steps of a solution."""
    solved: Annotated[int | None, Field(gt=0), LATER] = None
    """Also stop with this many correct terminals while `wrong_distinct` is not reached: the model solves the problem
    too often to give that many wrong answers. Default: never."""
    min_iterations: Annotated[int, Field(gt=0), LATER] = 1
    """Iterations (levels, in beam and breadth-first search) before the counts of `right` and `wrong_distinct` may end
    the tree. The rollouts of one iteration often give enough terminals, but they all branch off at the first steps;
    later iterations add branches further down, and rollouts to the values there."""


class SamplingConfig(Config):
    """Options of all policies: how the model is prompted, and what a step is."""

    system_prompt: str = ""
    """System message, for example a request for numbered steps; empty for none."""
    user_prompt: str = _USER_PROMPT
    """User message; `{question}` is replaced by the problem's question."""
    delimiter: str = Field("\n", min_length=1)
    """String that ends a step, if `steps` does not say what a step is. Blank steps are ignored."""
    steps: Annotated[StepsField | None, LATER] = None
    """How the model writes steps: a name from `step_formats:`, or a mapping such as `{format: blank_line}`. Traces of
    these trees are written the same way. Default: `delimiter` ends a step."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of steps and rollouts."""
    max_rollout_tokens: int = Field(1024, gt=0)
    """Token limit of a rollout. A longer one is cut off: it counts as incorrect, and its last step is dropped."""
    rollout_stop: tuple[str, ...] = ()
    """Strings that end a rollout early, in domains where the verifier does not need the rest (countdown: `answer`)."""
    max_depth: int = Field(50, gt=0)
    """Maximum number of steps on a path."""

    @property
    def step_layout(self) -> StepLayout:
        """How steps stand in prompts and samples."""
        return self.steps or Delimiter(self.delimiter)

    def limits(self) -> tuple[int, int] | None:
        """Upper bounds on the samples and sampled tokens of a tree; None if the config sets no bound.

        A tree that exceeds them is an error (E624).
        """
        return None

    @property
    def asks_verifier(self) -> bool:
        """Whether the value of a state comes from the verifier."""
        return False

    @model_validator(mode="after")
    def _one_step_format(self) -> "SamplingConfig":
        if self.steps is not None and "delimiter" in self.model_fields_set:
            raise ValueError("'steps' says where a step ends; remove 'delimiter'")
        return self

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
    value: Literal["rollouts", "terminals", "self_evaluation", "verifier"] = "rollouts"
    """Where a new node's reward comes from: rollouts scored by the verifier (`rollouts`), the model's opinion
    (`self_evaluation`), the verifier's estimate of the state (`verifier`, if it has one), or nothing, so that only
    verdicts on terminals count (`terminals`)."""
    candidates: Literal["steps", "rollouts"] = "steps"
    """What an expansion samples: single `steps`, or whole `rollouts`, where the first step is the candidate and the
    whole sample its first rollout. `rollouts` gives the same distribution in one pass instead of two, but if the
    verifier corrects the first step, the rest of the rollout stays as it was sampled."""
    close_finished: bool = True
    """Do not select terminals again, nor nodes with only terminals below; a tree with nothing left to select is done.
    Their verdicts count as one visit. Otherwise visits pile up on the first correct terminal."""
    keep_rollouts: bool = False
    """Add the steps of rollouts to the tree, which gives it terminals at no extra cost. They are branches that a later
    selection may reach. They are not candidates of an expansion: their values come from the rollouts that made them,
    and they get no others before they are expanded."""
    rollout_children: int | None = Field(None, gt=0)
    """Roll out only this many new children of an expansion, those with the highest priors. The others take the mean
    reward of their siblings as their value until they are selected. Default: all."""
    first_rollouts: int | None = Field(None, gt=0)
    """Sample this many rollouts first, and the rest of `rollouts` only for nodes where the first ones disagree.
    Default: all at once."""
    count_evaluation: bool = False
    """Count the reward of a new node as its first visit, so that it reaches its ancestors at once. By default only
    selections count, as in Eq. 3 and 4 of the paper. Counted, the unlikely siblings pull their parent's value down, and
    the search stays near the root."""
    prune_below: Annotated[float, Field(ge=0, le=1), LATER] = 0.0
    """Do not select new nodes whose reward is below this; nodes without a reward stay."""

    @property
    def asks_verifier(self) -> bool:
        return self.value == "verifier"

    def key_additions(self) -> dict[str, str]:
        several = self.value == "rollouts" and self.keep_rollouts and self.rollouts > 1
        uncounted = self.close_finished and not self.count_evaluation
        return ({"kept rollouts": "are branches"} if several else {}) | (
            {"closed terminals": "are counted"} if uncounted else {}
        )

    def limits(self) -> tuple[int, int]:
        if self.value != "rollouts":
            return self._limits(self.iterations, self.self_evaluation if self.value == "self_evaluation" else None)
        chosen = self.iterations * min(self.rollout_children or self.expansions, self.expansions)
        if self.candidates == "rollouts":  # each candidate is the first rollout of its node
            rollouts = self.iterations * self.expansions + chosen * max(0, self.rollouts - 1)
            return rollouts, rollouts * self.max_rollout_tokens
        calls, tokens = self._limits(self.iterations, None)
        rollouts = chosen * self.rollouts
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
    rank: Literal["likelihood", "self_evaluation", "verifier"] = "likelihood"
    """How states are ranked: by the product of the priors on their path, by the model's opinion, or by the verifier's
    estimate."""

    @property
    def asks_verifier(self) -> bool:
        return self.rank == "verifier"

    def limits(self) -> tuple[int, int]:
        return self._limits(1 + (self.max_depth - 1) * self.width, self.self_evaluation)

    @model_validator(mode="after")
    def _can_rank(self) -> "BeamConfig":
        if self.rank == "self_evaluation" and self.self_evaluation is None:
            raise ValueError("rank: self_evaluation needs the section `self_evaluation`; `{}` means its defaults")
        if self.rank == "verifier" and self.self_evaluation is not None:
            raise ValueError("rank: verifier uses no votes; remove the section `self_evaluation`")
        return self


class _ExhaustiveConfig(StepsConfig):
    """Options of depth-first and breadth-first search."""

    max_expansions: int = Field(64, gt=0)
    """Budget: number of nodes to expand."""
    prune_below: float = Field(0.0, ge=0, le=1)
    """Do not expand states whose value is below this."""
    value: Annotated[Literal["prior", "self_evaluation", "verifier"] | None, LATER] = None
    """The value of a state: the prior of its last step, the share of yes votes, or the verifier's estimate, which also
    decides the order: best first. Default: the votes if there is a section `self_evaluation`, else the prior."""

    @property
    def asks_verifier(self) -> bool:
        return self.value == "verifier"

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

    @model_validator(mode="after")
    def _can_value(self) -> "_ExhaustiveConfig":
        votes = self.self_evaluation is not None
        if self.value == "self_evaluation" and not votes:
            raise ValueError("value: self_evaluation needs the section `self_evaluation`; `{}` means its defaults")
        if self.value not in (None, "self_evaluation") and votes:
            raise ValueError(f"value: {self.value} uses no votes; remove the section `self_evaluation`")
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
    target: Annotated[str, UserCode("search policy", "E611", "code", arguments=2)] = Field(pattern=r"^[\w.]+:\w+$")
    """`package.module:function`: a generator function of (builder, config), like `astro_factory.search.mcts.grow`."""
    code: str = Field(default_factory=lambda known: code_digest(known.get("target", "")))
    """Digest of the source of `target` and of the modules it imports from its own package, so that a changed source
    changes the key. Set it to something else, such as a version, to decide yourself when the key changes."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of your function, which reads them from its config."""
    max_samples: Annotated[int | None, Field(gt=0), LATER] = None
    """Most samples of a tree, steps and rollouts together, so that `plan` can name the cost. A tree that exceeds it is
    an error."""

    def limits(self) -> tuple[int, int] | None:
        return (self.max_samples, self.max_samples * self.max_rollout_tokens) if self.max_samples else None


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
