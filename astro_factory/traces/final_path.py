"""A response without its abandoned branches: the steps that lead to its answer, and the answer."""

from astro_factory.core.problems import Problem
from astro_factory.core.step_format import LINES, StepLayout, written
from astro_factory.traces.response_parser import ResponseParser
from astro_factory.traces.state_moves import state_moves
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.base import StatedStep


def final_path(problem: Problem, response: str, parser: ResponseParser, layout: StepLayout = LINES) -> str | None:
    """The steps from the question to the answer as a direct solution, in the words of the response.

    Where the domain knows states, steps follow each other by their states, otherwise by the response's own words for
    going back. Checks and other words between steps are left out.

    Args:
        parser: parses responses whose domain knows no states; made with `layout` where it is a step format.

    Returns:
        None if the path is not known: the response goes back to something that it never reached, a step does not
        start where the one before ended, or a line states several steps.
    """
    verifier = get_verifier(problem.verifier)
    lines = [line for line in response.split("\n") if line.strip()]
    stated: list[list[StatedStep]] = []
    for line in lines:
        steps = verifier.stated_steps(problem, line)
        if steps is None:
            return _by_words(problem, response, parser, layout)
        stated.append(steps)
    if not lines or any(len(steps) > 1 for steps in stated):
        return None
    places = [index for index, steps in enumerate(stated) if steps]
    node = state_moves(verifier.start(problem), [stated[index][0] for index in places]).last
    path = [] if stated[-1] else [len(lines) - 1]  # the answer
    while node.parent is not None:
        place = places[node.step]
        if stated[place][0].before != node.parent.state:  # a copying error
            return None
        path.append(place)
        node = node.parent
    if node.state != verifier.start(problem):
        return None
    return "\n".join(lines[place] for place in reversed(path))


def _by_words(problem: Problem, response: str, parser: ResponseParser, layout: StepLayout) -> str | None:
    graph = parser.parse(response, problem.question)
    if graph.unresolved:
        return None
    state, path = graph.sequence[-1], []
    while state:
        path.append(graph.texts[state])
        state = graph.parents[state]
    closing = response[graph.starts[-1] :].strip() if graph.lines and graph.lines[-1][0] == "answer" else ""
    return written(layout, path[::-1], closing)
