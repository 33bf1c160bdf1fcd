"""What holds in every domain, over its own puzzles."""

import json
from importlib.util import find_spec
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.trees import TreeNode
from astro_factory.stages.practice import Config as Practice
from astro_factory.stages.practice import make_document
from astro_factory.traces.state_moves import state_moves
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.puzzles import check_line, domain_names, get_domain, state_line
from astro_factory.verifiers.splits import bucket_of
from tests.verifiers.domains.attacks import FAILURES, VERDICTS
from tests.verifiers.domains.drawn import SIZES, puzzles

GYM = pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="needs reasoning-gym")
DOMAINS = [pytest.param(name, marks=GYM if name == "kinship" else ()) for name in domain_names()]
TEMPLATE, SHORT, PAIRS, PAIRS_SHORT = (
    compile_template(f"reflection/{name}.jinja", [shipped_folder("templates")])
    for name in ("puzzles", "puzzles_short", "puzzles_pairs", "puzzles_pairs_short")
)


@pytest.mark.parametrize(
    ("problem", "response", "outcome", "extracted"),
    [pytest.param(*row, marks=GYM if row[0].verifier == "kinship" else ()) for row in VERDICTS],
)
def test_verdicts(problem, response, outcome, extracted):
    verifier = get_verifier(problem.verifier)
    for text in (response, response + "\r\n", response.replace("\n", "\r\n")):
        verdict = verifier.verify(problem, text)
        assert (verdict.outcome, verdict.extracted) == (outcome, extracted)
        assert verifier.accepts(problem, text) in (verdict.correct, None)


@pytest.mark.parametrize(("problem", "shown", "rest"), FAILURES)
def test_a_check_of_the_steps_rejects_as_soon_as_they_show_it(problem, shown, rest):
    verifier = get_verifier(problem.verifier)
    for text in (shown + rest, (shown + rest).replace("\n", "\r\n"), (shown + rest).replace(" ", "  ")):
        assert verifier.accepts(problem, text) is False
        place = verifier.fails_at(problem, text)
        assert (place is None) == (not rest)
        assert place is None or text[:place].split() == shown.split()


@pytest.mark.parametrize("name", [name for name in domain_names() if name != "kinship"])
def test_a_wrong_path_shows_it_before_its_answer(name):
    domain, random, wrong = get_domain(name), Random(3), 0
    for problem in puzzles(name):
        steps = domain.attempt(random, problem)
        if not domain.is_right(problem, steps):
            place = domain.fails_at(problem, "\n".join([*steps, domain.closing(problem, steps)]))
            assert place and place <= len("\n".join(steps))
            wrong += 1
    assert wrong


@pytest.mark.parametrize("name", [name for name in domain_names() if name != "kinship"])
@settings(max_examples=50)
@given(before=st.text(), after=st.text())
def test_verify_never_raises(name, before, after):
    problem, response = puzzles(name)[0], f"{before}\nanswer {after}"
    assert get_domain(name).verify(problem, response).outcome in ("correct", "incorrect", "no_answer")
    assert 0 <= (get_domain(name).fails_at(problem, response) or 0) <= len(response)


@pytest.mark.parametrize("name", DOMAINS)
def test_every_puzzle_is_solved_by_its_own_steps(name):
    domain, random = get_domain(name), Random(1)
    for problem in puzzles(name):
        assert Problem.from_row(problem.as_row()) == problem
        assert domain.check_problem(problem) is None
        steps = domain.solution(random, problem)
        assert domain.is_right(problem, steps)
        response = "\n".join([*steps, domain.closing(problem, steps)])
        assert domain.verify(problem, response).correct
        assert all(domain.value(problem, steps[:count]) in (1.0, None) for count in range(len(steps)))
        assert domain.value(problem, steps) == 1.0


@pytest.mark.parametrize("name", DOMAINS)
def test_steps_are_idempotent_and_judged_alike_by_every_hook(name):
    """Also of wrong paths: what the steps make, the line with the answer states, and value and check agree with it."""
    domain, random, right = get_domain(name), Random(2), 0
    for problem in puzzles(name):
        steps = domain.attempt(random, problem)
        for count, step in enumerate(steps):
            assert not domain.is_terminal(problem, steps[:count])
            assert domain.complete_step(problem, steps[:count], step) == step
            assert domain.complete_step(problem, steps[:count], f" {step} ") == step
        assert domain.is_terminal(problem, steps)
        assert domain.complete_step(problem, steps, steps[-1]) is None
        verdict = domain.verify(problem, domain.closing(problem, steps))
        assert verdict.extracted
        assert verdict.correct == domain.is_right(problem, steps) == bool(domain.value(problem, steps))
        assert all(isinstance(fact, str) for fact in domain.facts(problem, steps).values())
        right += verdict.correct
    assert right < len(puzzles(name))


@pytest.mark.parametrize("name", DOMAINS)
def test_a_response_states_its_steps(name):
    domain, random = get_domain(name), Random(3)
    for problem in puzzles(name):
        steps = domain.attempt(random, problem)
        stated = domain.stated_steps(problem, "\n".join([*steps, "Wait , so what", domain.closing(problem, steps)]))
        assert len(stated) == len(steps)
        assert stated[0].before == domain.start(problem)
        assert all(first.after == second.before for first, second in pairwise(stated))
        assert not any(step.ends for step in stated[:-1])
        moves = state_moves(domain.start(problem), [*stated, *stated])
        assert (moves.backtracks, moves.unresolved) == (1, 0)
        assert moves.repeated == stated[-1].ends


@pytest.mark.parametrize("name", [*DOMAINS, "countdown"])
@pytest.mark.parametrize("old, new", [("\n", "\r\n"), ("\n", "\n \t"), (" ", "  "), ("\n", " \n\nNo .\n")])
def test_steps_are_read_however_they_are_spaced(name, old, new):
    if name == "countdown":
        problem = Problem("c", "", "", name, {"numbers": [4, 10, 3], "target": 17})
        steps = ["10 + 3 = 13 left 4 13", "13 + 4 = 17 left 17"]
    else:
        problem, *_ = puzzles(name)
        steps = get_domain(name).solution(Random(8), problem)
    read, text = get_verifier(name).stated_steps, "\n" + "\n".join(steps) + "\n"
    assert len(read(problem, text)) == len(steps)
    assert read(problem, text.replace(old, new)) == read(problem, text)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_wrong_attempt_that_is_repeated_counts_as_repeated(name):
    """Wherever it ends: a path of kinship that leads past the person who is asked for is complete as well."""
    domain, random, wrong = get_domain(name), Random(9), 0
    for problem in puzzles(name):
        attempt = domain.attempt(random, problem)
        moves = state_moves(domain.start(problem), domain.stated_steps(problem, "\n".join(attempt * 3)))
        assert (moves.backtracks, moves.unresolved, moves.repeated) == (2, 0, 2)
        assert moves.revisited == 2 * len(attempt)
        wrong += not domain.is_right(problem, attempt)
    assert wrong > 5


@pytest.mark.parametrize("name", DOMAINS)
def test_nothing_but_the_check_reads_the_answer(name):
    """A search must not know it."""
    domain, random = get_domain(name), Random(4)
    for problem in puzzles(name)[:10]:
        steps = domain.attempt(random, problem)
        blind = Problem(problem.id, problem.question, "", problem.verifier, problem.info)
        for hook in (domain.value, domain.facts, domain.closing, domain.is_terminal):
            assert hook(blind, steps) == hook(problem, steps)
        assert domain.accepts(blind, domain.closing(problem, steps)) == domain.accepts(
            problem, domain.closing(problem, steps)
        )


@pytest.mark.parametrize("name", DOMAINS)
def test_the_order_in_which_a_puzzle_is_shown_does_not_change_what_it_is(name):
    random, domain = Random(5), get_domain(name)
    assert len({domain.identity(problem) for problem in puzzles(name)}) > 30
    for problem in puzzles(name)[:10]:
        info = json.loads(json.dumps(problem.info))
        for listed in info.values():
            if isinstance(listed, list):
                random.shuffle(listed)
        other = Problem("other", problem.question, problem.answer, problem.verifier, info)
        assert domain.identity(other) == domain.identity(problem)


@pytest.mark.parametrize("name", DOMAINS)
def test_practice_never_touches_what_is_held_out(name, monkeypatch):
    domain, drawn = get_domain(name), []
    document = domain.document
    monkeypatch.setattr(
        domain,
        "document",
        lambda random, skill, draw: document(random, skill, lambda: drawn.append(draw()) or drawn[-1]),
    )
    for buckets, allowed in (([], set(range(2, 10))), ([2, 5], {2, 5})):
        config = Practice(kind="practice", domain=name, sizes=SIZES[name][:1], buckets=buckets, count=60)
        made = [make_document(config, index) for index in range(60)]
        assert {bucket_of(domain.identity(problem)) for problem in drawn} <= allowed
        asked = {problem.question for problem in drawn}
        for row in made:
            if row["skill"] == "solve":
                assert row["messages"][0]["content"] in asked
        drawn.clear()


@pytest.mark.parametrize("name", DOMAINS)
def test_every_skill_is_practised_and_honest(name):
    domain, random = get_domain(name), Random(6)
    assert set(domain.skills) == {"solve", "attempt", "series", *domain.exercises()}
    for problem in puzzles(name):
        question, response = domain.document(random, "solve", lambda problem=problem: problem)
        assert question == problem.question and domain.verify(problem, response).correct
        question, response = domain.document(random, "attempt", lambda problem=problem: problem)
        assert question == f"try {problem.question}"
        steps: list[str] = []
        lines = response.split("\n")
        while not domain.is_terminal(problem, steps):
            steps.append(domain.complete_step(problem, steps, lines[0]) or "")
            assert lines.pop(0) == steps[-1]
        correct = domain.is_right(problem, steps)
        assert lines.pop(0) == check_line(domain.facts(problem, steps)["check"], correct)
        earlier = [domain.facts(problem, steps[:count]).get("state") for count in range(len(steps))]
        assert all(line in {state_line(str(state)) for state in earlier} for line in lines)
        assert not lines or not correct


@pytest.mark.parametrize(
    ("template", "before", "after", "restart", "back"),
    [(TEMPLATE, "Wait , ", " .", "Try another .", "Go "), (SHORT, "", "", None, "")],
    ids=["puzzles", "puzzles_short"],
)
@pytest.mark.parametrize("name", DOMAINS)
def test_the_templates_word_a_check_as_practice_does(name, template, before, after, restart, back):
    """Right and wrong ends differ in nothing but the verdict. The short template has no word for a restart."""
    domain, problem = get_domain(name), puzzles(name)[0]
    renderer = TemplateRenderer(template)
    steps = domain.solution(Random(7), problem)
    facts = domain.facts(problem, steps)
    end = TreeNode(0, steps[-1], terminal=True, facts=facts)
    root = TreeNode(-1, "", facts=domain.facts(problem, []))
    variables = {"problem": problem, "node": end, "target": root, "step": 1, "target_step": 0, "attempt": 1}

    def words(*blocks):
        return " ".join(renderer.render_blocks(blocks, variables, lambda size: 0))

    for block, correct in (("right", True), ("wrong", False)):
        check = check_line(facts["check"], correct).removesuffix(" .")
        assert words("reflect", block) == f"{before}{check}{after}"
    state = root.facts.get("state")
    goes_back = f"{back}{state_line(state)}" if state else ""
    assert words("restart") == (goes_back if restart is None else restart)
    if state:
        assert words("backtrack") == goes_back


@pytest.mark.parametrize(
    ("facts", "pairs", "to_first_miss"),
    [
        ({"found": "5 1", "wanted": "4 1"}, "5 want 4 , 1 want 1", "5 want 4"),
        ({"found": "4 2", "wanted": "4 1"}, "4 want 4 , 2 want 1", "4 want 4 , 2 want 1"),
        ({"found": "4 1", "wanted": "4 1"}, "4 want 4 , 1 want 1", "4 want 4 , 1 want 1"),
        # a clue of mastermind is two counts
        ({"found": "0 1 , 1 0", "wanted": "1 1 , 1 0"}, "0 1 want 1 1 , 1 0 want 1 0", "0 1 want 1 1"),
        ({"check": "up down"}, "up down", "up down"),
    ],
)
def test_pairs_set_each_value_beside_the_one_wanted(facts, pairs, to_first_miss):
    node = TreeNode(0, "x", terminal=True, facts={"check": "not used", **facts})
    for template, expected in ((PAIRS, f"Wait , {pairs}"), (PAIRS_SHORT, to_first_miss)):
        renderer = TemplateRenderer(template)
        assert renderer.render_blocks(["reflect"], {"problem": None, "node": node}, lambda size: 0) == [expected]
