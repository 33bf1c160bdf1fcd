"""The shipped template writes the check that the base has practised."""

from random import Random

import pytest

from astro_factory.core.shipped import shipped_folder
from astro_factory.core.trees import TreeNode
from astro_factory.stages.problems.word_problems import as_problem
from astro_factory.stages.word_problems.families import FAMILIES
from astro_factory.stages.word_problems.rules import ORDER
from astro_factory.stages.word_problems.skills import attempt_lines
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer

RENDERER = TemplateRenderer(compile_template("reflection/word_problems.jinja", [shipped_folder("templates")]))


@pytest.mark.parametrize("family", ORDER)
def test_the_template_writes_the_check_of_the_practice_documents(family):
    random = Random(5)
    checked = 0
    while checked < 100:
        problem = FAMILIES[family](random)
        lines = problem and attempt_lines(random, problem)
        if not lines:
            continue
        answer = lines[-2].rpartition("{")[2].partition("}")[0]
        node = TreeNode(0, lines[-2], terminal=True, answer=answer)
        verdict = "right" if answer == str(problem.answer) else "wrong"
        variables = {
            "problem": as_problem(problem),
            "node": node,
            "step": 1,
            "attempt": 1,
            "target": node,
            "target_step": 0,
        }
        texts = RENDERER.render_blocks(["reflect", verdict], variables, lambda size: 0)
        assert " ".join(texts) == lines[-1]
        checked += 1
