"""The search policies and their options: `search_policies:` in a spec.

What the paper (arXiv 2507.00417, section 2) leaves open is an option with a default here. Numbers that it gives are in
the spec `llama3_70b_paper.yaml`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from astro_factory.core.config import Config, Definition

_USER_PROMPT = "{question}"


class StopRule(Config):
    """When a tree holds enough to make traces of; both counts have to be reached."""

    right: int = Field(1, ge=0)
    """Ends with a right answer."""
    wrong_distinct: int = Field(2, ge=0)
    """Wrong ends with different answers."""


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

    @model_validator(mode="after")
    def _asks_the_question(self) -> "SamplingConfig":
        if _USER_PROMPT not in self.user_prompt:
            raise ValueError(f"user_prompt lacks {_USER_PROMPT}")
        return self


class MctsConfig(SamplingConfig):
    """Monte Carlo tree search with PUCT selection and values from rollouts (paper, Eq. 1-4)."""

    kind: Literal["mcts"]
    expansions: int = Field(8, gt=0)
    """k: next steps sampled when a node is expanded."""
    rollouts: int = Field(16, ge=0)
    """M: completions to the end that give a new node its reward, the mean of their scores."""
    iterations: int = Field(32, gt=0)
    """Selections, each followed by an expansion and a backup."""
    c_puct: float = Field(1.0, ge=0)
    """Weight of the prior and of curiosity against the value."""
    max_step_tokens: int = Field(256, gt=0)
    """Longest single step; a longer one is dropped."""
    candidates: Literal["steps", "rollouts"] = "steps"
    """What an expansion samples: single `steps`, or whole `rollouts`, of which the first step is the candidate and all
    is its first rollout. The second has the same distribution and needs one pass instead of two; a verifier that
    corrects a step's result leaves the rest of its rollout as it was."""
    prior: Literal["uniform", "share", "logprob"] = "logprob"
    """P(a|S): all alike, the share of the samples that gave this step, or the softmax over the siblings of the step's
    mean token log-probability."""
    merge_equal_steps: bool = True
    """Equal next steps are one node."""
    close_finished: bool = True
    """Ends, and nodes with nothing but ends below, are not selected again; a tree with nothing left is done. Without
    it visits pile up on the first right end."""
    keep_rollouts: bool = False
    """The steps of rollouts become nodes, so that the tree gets its ends for free."""
    rollout_children: int | None = Field(None, gt=0)
    """Roll out only this many new nodes of an expansion, the most likely ones by their prior; the others get no reward
    and count with the mean of their siblings until they are selected. Default: all."""
    count_evaluation: bool = True
    """A new node's rollouts are its first visit, so that they reach its ancestors at once (Eq. 4); else only visits by
    selection count."""
    stop: StopRule | None = None
    """When to end before all iterations are done; default: never."""


class BestOfNConfig(SamplingConfig):
    """n independent completions, merged where they begin alike: the control without search."""

    kind: Literal["best_of_n"]
    n: int = Field(16, gt=0)
    """Completions of each problem."""


class PythonPolicyConfig(SamplingConfig):
    """A policy of one's own."""

    kind: Literal["python"]
    target: str = Field(pattern=r"^[\w.]+:\w+$")
    """`package.module:function`, a generator that takes (growth, config) as `astro_factory.search.mcts.grow` does."""
    options: dict[str, Any] = Field(default_factory=dict)
    """For the function; it finds them in its config."""


PolicyConfig = Annotated[MctsConfig | BestOfNConfig | PythonPolicyConfig, Field(discriminator="kind")]
PolicyField = Annotated[PolicyConfig, Definition("search_policies")]
