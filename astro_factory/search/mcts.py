"""Monte Carlo tree search as in ASTRO (arXiv 2507.00417, section 2.1): selection, expansion, backup.

A node is the state S and the edge (S', a) that leads to it; N is `visits`, Q is `value`, P is `prior`, R is `reward`.
"""

import math
from collections.abc import Sequence

from astro_factory.core.trees import TreeNode
from astro_factory.core.verdicts import Outcome
from astro_factory.engines.base import Sample
from astro_factory.search.config import MctsConfig
from astro_factory.search.priors import set_priors
from astro_factory.search.prompts import mean
from astro_factory.search.self_evaluation import evaluate
from astro_factory.search.step_parser import ParsedSteps
from astro_factory.search.stopping import Stopping
from astro_factory.search.tree_builder import PolicyRun, SampleRequest, TreeBuilder


def grow(builder: TreeBuilder, config: MctsConfig) -> PolicyRun:
    """Run the iterations; ends early when nothing is left to select or the stop rule holds."""
    search, stopping = Mcts(builder, config), Stopping(builder, config.stop)
    for _ in range(config.iterations):
        path = search.select()
        if not path:
            break
        builder.tree.iterations += 1
        if not builder.tree.nodes[path[-1]].terminal:
            yield from search.expand(path[-1])
        search.back_up(path)
        if stopping.now():
            break
    search.settle()


def puct(child: TreeNode, parent_visits: int, c_puct: float) -> float:
    """Q(S, a) + c P(a|S) sqrt(N(S)) / (1 + N(S, a))   (paper, Eq. 1)"""
    return child.value + c_puct * child.prior * math.sqrt(parent_visits) / (1 + child.visits)


def backed_up(node: TreeNode, children: Sequence[TreeNode]) -> float:
    """Q(S, a) <- (sum_i Q_i N_i + R) / (sum_i N_i + 1)   (paper, Eq. 4)

    A node without a reward of its own (the root; one that was not rolled out) leaves out the R and the 1.
    """
    own = 1 if node.rollouts or node.terminal else 0
    weight = sum(child.visits for child in children) + own
    total = sum(child.value * child.visits for child in children) + own * node.reward
    return total / weight if weight else node.value


class Mcts:
    """One tree's search: which nodes are expanded, and which are closed to selection."""

    def __init__(self, builder: TreeBuilder, config: MctsConfig):
        self._builder, self._config = builder, config
        self._nodes = builder.tree.nodes
        self._expanded: set[int] = set()
        self._closed: set[int] = set()

    def select(self) -> list[int]:
        """The path from the root to the node to expand, or to an end; empty where all is closed."""
        if 0 in self._closed:
            return []
        path = [0]
        while path[-1] in self._expanded:
            visits = self._nodes[path[-1]].visits
            children = [child for child in self._builder.children[path[-1]] if child not in self._closed]
            path.append(max(children, key=lambda child: puct(self._nodes[child], visits, self._config.c_puct)))
        return path

    def expand(self, leaf: int) -> PolicyRun:
        """Sample k next steps, make their nodes, set their priors, and give the new ones their rewards."""
        builder, config = self._builder, self._config
        whole = config.candidates == "rollouts"
        step = SampleRequest(leaf, "step", config.expansions, config.max_step_tokens, (config.delimiter,))
        [samples] = yield from builder.sample(self._rollout(leaf, config.expansions) if whole else step)
        for sample in samples:
            self._enter(leaf, sample, builder.read(leaf, sample), whole)
        self._expanded.add(leaf)
        set_priors(builder, leaf, config.prior)
        new = [child for child in builder.children[leaf] if not self._nodes[child].visits]
        going_on = [child for child in new if not self._nodes[child].terminal and not builder.too_deep(child)]
        if config.value == "rollouts":
            yield from self._roll_out(going_on)
        elif config.value == "self_evaluation":
            yield from evaluate(builder, going_on, config.self_evaluation)
        self._set_values(new)

    def back_up(self, path: Sequence[int]) -> None:
        """N <- N + 1 and Eq. 4 from the path's end to the root; closes what needs no more visits."""
        for index in reversed(path):
            node = self._nodes[index]
            children = self._builder.children[index]
            node.visits += 1
            node.value = backed_up(node, [self._nodes[child] for child in children])
            if index in self._expanded and self._closed.issuperset(children):
                self._closed.add(index)

    def settle(self) -> None:
        """Give the nodes that only rollouts have seen what is known of them."""
        for index, node in enumerate(self._nodes):
            if index not in self._expanded:
                set_priors(self._builder, index, self._config.prior)
            if index and not node.visits and self._set_reward(index):
                node.value = node.reward

    def _rollout(self, node: int, count: int) -> SampleRequest:
        return SampleRequest(node, "rollout", count, self._config.max_rollout_tokens, self._config.rollout_stop)

    def _enter(self, start: int, sample: Sample, parsed: ParsedSteps, rollout: bool) -> None:
        """Put a sample's first step below a node, and its other steps too where rollouts are kept."""
        builder, config = self._builder, self._config
        score = parsed.score
        if not (rollout and config.keep_rollouts):
            parsed = parsed.first()
        measured = builder.line_logprobs(sample) if config.prior == "logprob" and parsed.steps else []
        path = builder.enter(start, parsed, measured, config.merge_equal_steps)
        if rollout:
            for node in path:
                builder.scores[node].append(score)

    def _roll_out(self, going_on: list[int]) -> PolicyRun:
        """Rollouts for new children, as many as each still lacks; the last ones only where the first disagree."""
        builder, config = self._builder, self._config
        going_on.sort(key=lambda child: -self._nodes[child].prior)
        chosen = going_on[: config.rollout_children]
        for wanted in (min(config.first_rollouts or config.rollouts, config.rollouts), config.rollouts):
            lacks = {child: wanted - len(builder.scores[child]) for child in chosen}
            queries = [self._rollout(child, count) for child, count in lacks.items() if count > 0]
            results = (yield from builder.sample(*queries)) if queries else []
            for query, samples in zip(queries, results, strict=True):
                self._score(query.node, samples)
            chosen = [child for child in chosen if len(set(builder.scores[child])) > 1]

    def _score(self, node: int, samples: list[Sample]) -> None:
        for sample in samples:
            parsed = self._builder.read(node, sample)
            self._builder.scores[node].append(parsed.score)
            if self._config.keep_rollouts:
                self._enter(node, sample, parsed, True)

    def _set_reward(self, index: int) -> bool:
        """R of a node from its rollouts, or of an end from its verdict; whether there is any."""
        node, scores = self._nodes[index], self._builder.scores[index]
        if node.terminal:
            node.reward = float(node.verdict == Outcome.CORRECT)
        else:
            node.reward, node.rollouts = mean(scores), len(scores)
        return node.terminal or bool(scores)

    def _set_values(self, new: Sequence[int]) -> None:
        """First values of new children; those that cannot be gone on from are closed."""
        known = [child for child in new if self._set_reward(child)]
        guess = mean([self._nodes[child].reward for child in known])
        for child in new:
            node = self._nodes[child]
            node.value = node.reward if child in known else guess
            node.visits = int(child in known and self._config.count_evaluation)
            if self._config.close_finished if node.terminal else self._builder.too_deep(child):
                self._closed.add(child)
