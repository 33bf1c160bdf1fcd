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
from astro_factory.search.stopping import StopCondition
from astro_factory.search.tree_builder import PolicyRun, SampleRequest, TreeBuilder


def grow(builder: TreeBuilder, config: MctsConfig) -> PolicyRun:
    """Run the iterations; ends early when no node is left to select or the stop rule holds."""
    search, stop = Mcts(builder, config), StopCondition(builder, config.stop)
    for _ in range(config.iterations):
        path = search.select()
        if not path:
            break
        builder.tree.iterations += 1
        if not builder.tree.nodes[path[-1]].terminal:
            yield from search.expand(path[-1])
        search.back_up(path)
        if stop.is_met():
            break
    search.finalize()


def puct(child: TreeNode, parent_visits: int, c_puct: float) -> float:
    """Q(S, a) + c P(a|S) sqrt(N(S)) / (1 + N(S, a))   (paper, Eq. 1)"""
    return child.value + c_puct * child.prior * math.sqrt(parent_visits) / (1 + child.visits)


def backed_up_value(node: TreeNode, children: Sequence[TreeNode]) -> float:
    """Q(S, a) <- (sum_i Q_i N_i + R) / (sum_i N_i + 1)   (paper, Eq. 4)

    A node without a reward of its own (the root, or a node that was not rolled out) leaves out the R and the 1.
    """
    own = 1 if node.rollouts or node.terminal else 0
    weight = sum(child.visits for child in children) + own
    total = sum(child.value * child.visits for child in children) + own * node.reward
    return total / weight if weight else node.value


class Mcts:
    """The search of one tree: which nodes are expanded, and which are closed to selection."""

    def __init__(self, builder: TreeBuilder, config: MctsConfig):
        self._builder, self._config = builder, config
        self._nodes = builder.tree.nodes
        self._expanded: set[int] = set()
        self._closed: set[int] = set()

    def select(self) -> list[int]:
        """The path from the root to the node to expand, or to a terminal; empty when every node is closed."""
        if 0 in self._closed:
            return []
        path = [0]
        while path[-1] in self._expanded:
            visits = self._nodes[path[-1]].visits
            children = [child for child in self._builder.children[path[-1]] if child not in self._closed]
            path.append(max(children, key=lambda child: puct(self._nodes[child], visits, self._config.c_puct)))
        return path

    def expand(self, leaf: int) -> PolicyRun:
        """Sample k next steps, add them as children, set the priors, and give new children their rewards.

        Children that earlier rollouts left here keep the rewards that these gave them.
        """
        builder, config = self._builder, self._config
        whole = config.candidates == "rollouts"
        step = builder.step_request(leaf, config.expansions, config.max_step_tokens)
        [samples] = yield from builder.sample(self._rollout(leaf, config.expansions) if whole else step)
        added = [self._add_sample(leaf, sample, builder.parse(leaf, sample), rollout=whole) for sample in samples]
        candidates = {path[0] for path in added if path}
        self._expanded.add(leaf)
        set_priors(builder, leaf, config.prior)
        new = [child for child in builder.children[leaf] if not self._nodes[child].visits]
        expandable = [
            child
            for child in new
            if child in candidates and not self._nodes[child].terminal and not builder.at_max_depth(child)
        ]
        if config.value == "rollouts":
            yield from self._roll_out(expandable)
        elif config.value == "verifier":
            builder.ask_verifier(expandable)
        elif config.value == "self_evaluation":
            assert config.self_evaluation is not None
            yield from evaluate(builder, expandable, config.self_evaluation)
        self._set_first_values(new)

    def back_up(self, path: Sequence[int]) -> None:
        """N <- N + 1 and Eq. 4 from the end of the path to the root; closes nodes that need no more visits."""
        for index in reversed(path):
            node = self._nodes[index]
            children = self._builder.children[index]
            node.visits += 1
            node.value = backed_up_value(node, [self._nodes[child] for child in children])
            if index in self._expanded and self._closed.issuperset(children):
                self._closed.add(index)

    def finalize(self) -> None:
        """Set priors and values of nodes that occur only in rollouts."""
        for index, node in enumerate(self._nodes):
            if index not in self._expanded:
                set_priors(self._builder, index, self._config.prior)
            if index and not node.visits and self._set_reward(index):
                node.value = node.reward

    def _rollout(self, node: int, count: int) -> SampleRequest:
        return SampleRequest(node, "rollout", count, self._config.max_rollout_tokens, self._config.rollout_stop)

    def _add_sample(self, start: int, sample: Sample, parsed: ParsedSteps, rollout: bool) -> list[int]:
        """Add a sample's first step below a node, and where rollouts are kept its other steps; returns their nodes."""
        builder, config = self._builder, self._config
        score = parsed.score
        if not (rollout and config.keep_rollouts):
            parsed = parsed.first()
        logprobs = builder.line_logprobs(sample) if config.prior == "logprob" and parsed.steps else []
        path = builder.add_path(start, parsed, logprobs, config.merge_equal_steps)
        if rollout:
            for node in path:
                builder.scores[node].append(score)
        return path

    def _roll_out(self, children: list[int]) -> PolicyRun:
        """Roll out new children, each as often as it still needs; the last rollouts only where the first disagree."""
        builder, config = self._builder, self._config
        children.sort(key=lambda child: -self._nodes[child].prior)
        chosen = children[: config.rollout_children]
        for wanted in (min(config.first_rollouts or config.rollouts, config.rollouts), config.rollouts):
            missing = {child: wanted - len(builder.scores[child]) for child in chosen}
            requests = [self._rollout(child, count) for child, count in missing.items() if count > 0]
            results = (yield from builder.sample(*requests)) if requests else []
            for request, samples in zip(requests, results, strict=True):
                self._score(request.node, samples)
            chosen = [child for child in chosen if len(set(builder.scores[child])) > 1]

    def _score(self, node: int, samples: list[Sample]) -> None:
        for sample in samples:
            parsed = self._builder.parse(node, sample)
            self._builder.scores[node].append(parsed.score)
            if self._config.keep_rollouts:
                self._add_sample(node, sample, parsed, rollout=True)

    def _set_reward(self, index: int) -> bool:
        """Set R from the node's rollouts, or from a terminal's verdict; returns whether there was either."""
        node, scores = self._nodes[index], self._builder.scores[index]
        if node.terminal:
            node.reward = float(node.verdict == Outcome.CORRECT)
        else:
            node.reward, node.rollouts = mean(scores), len(scores)
        return node.terminal or bool(scores)

    def _set_first_values(self, new: Sequence[int]) -> None:
        """Set the first values of new children, and close those that cannot be expanded."""
        known = [child for child in new if self._set_reward(child)]
        guess = mean([self._nodes[child].reward for child in known])
        for child in new:
            node = self._nodes[child]
            node.value = node.reward if child in known else guess
            closed_end = node.terminal and self._config.close_finished  # no selection can count its verdict
            node.visits = int(closed_end or (child in known and self._config.count_evaluation))
            if self._config.close_finished if node.terminal else self._is_hopeless(child, known):
                self._closed.add(child)

    def _is_hopeless(self, child: int, known: Sequence[int]) -> bool:
        """Whether a new child is at the greatest depth, or known to be worth less than `prune_below`."""
        pruned = child in known and self._nodes[child].reward < self._config.prune_below
        return pruned or self._builder.at_max_depth(child)
