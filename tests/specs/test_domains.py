"""The specs of the generated domains, without a trained model: puzzles, practice, search, traces, measures."""

from importlib.util import find_spec
from random import Random

import pytest

from astro_factory.core.shipped import shipped_folder
from astro_factory.core.trees import Tree
from astro_factory.spec import compile_spec
from astro_factory.stages.practice import make_document
from astro_factory.stages.problems.puzzles import make_problems
from astro_factory.traces.response_parser import response_measures
from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer, words_of, words_of_template
from astro_factory.verifiers.puzzles import domain_names, get_domain
from tests.stages.test_linearize import linearize
from tests.stages.test_search import search, trees

SPECS = shipped_folder("specs") / "domains"
GYM = pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="needs reasoning-gym")


@pytest.fixture(scope="module", params=[pytest.param(n, marks=GYM if n == "kinship" else ()) for n in domain_names()])
def nodes(request):
    """The configurations of a spec by name."""
    return {name: node.config for name, node in compile_spec(SPECS / f"{request.param}.yaml").nodes.items()}


@pytest.fixture(scope="module")
def tokenizer(nodes):
    vocabulary = nodes["blank"].vocabulary
    words = [word for text in vocabulary.words for word in words_of(text)]
    for template in vocabulary.word_sources:
        words += [word for text in template.sources.values() for word in words_of_template(text)]
    return build_tokenizer(words, vocabulary.numbers, CHAT_FORMATS["minimal"], 1024)


def test_each_domain_has_its_spec():
    assert sorted(path.stem for path in SPECS.glob("*.yaml")) == sorted(domain_names())


def test_the_vocabulary_has_every_word_of_practice(nodes, tokenizer):
    for index in range(150):
        for message in make_document(nodes["practice"], index)["messages"]:
            assert not [token for token in tokenizer.tokenize(message["content"]) if token.startswith("<0x")], message


def test_practice_search_and_test_share_no_puzzle(nodes):
    practice, train = nodes["practice"], nodes["train"]
    assert (practice.domain, practice.sizes) == (train.domain, train.sizes)
    assert not set(practice.buckets) & set(train.buckets)
    assert (train.split, nodes["test"].split) == ("train", "test")


def test_traces_of_a_search_go_wrong_and_end_right(nodes, tokenizer, tmp_path):
    """Of a scripted model: each trace is verified, and its backtracks are read from its states and its words alike."""
    domain, random = get_domain(nodes["train"].domain), Random(0)
    problems = list(make_problems(nodes["train"].model_copy(update={"count": 3})))
    responses = {"": ["answer"]}
    for problem in problems:
        paths = [domain.attempt(random, problem) for _ in range(12)] + [domain.solution(random, problem)] * 4
        responses[f"{problem.question}\n"] = ["\n".join([*path, domain.closing(problem, path)]) for path in paths]
    tokenizer.save_pretrained(tmp_path / "model")
    search(
        tmp_path / "s",
        tmp_path / "model",
        problems,
        engine={"kind": "scripted", "responses": responses},
        policy=nodes["trees"].policy.model_dump(),
    )
    made = trees(tmp_path / "s")
    fields = {"template": nodes["traces"].template, "per_problem": 4, "wrong_branches": [1, 3]}
    rows, _ = linearize(tmp_path / "traces", made, **fields)
    measures = response_measures(nodes["traces"].template)
    check(rows, made, domain, measures, tokenizer)
    fields = {"template": nodes["direct"].template, "match_count": "other", "other": tmp_path / "traces"}
    direct, _ = linearize(tmp_path / "direct", made, **fields)
    assert len(direct) == len(rows)
    assert not any(measures(problems[0], row["messages"][-1]["content"])["worded"] for row in direct)


def check(rows: list, made: list[Tree], domain, measures, tokenizer) -> None:
    problems = {tree.problem.id: tree.problem for tree in made}
    assert {row["problem_id"] for row in rows} == set(problems)
    assert sum(row["num_wrong"] for row in rows) > 4
    for row in rows:
        problem, text = problems[row["problem_id"]], row["messages"][-1]["content"]
        assert domain.verify(problem, text).correct
        assert not [token for token in tokenizer.tokenize(text) if token.startswith("<0x")]
        found = measures(problem, text)
        assert found["backtracks"] == found["worded"] == row["num_wrong"]
        assert (found["unresolved"], found["repeated"]) == (0, 0), text


def test_the_report_tells_the_arms_apart(nodes):
    report = nodes["report"]
    assert nodes["direct_sft"].match_tokens == "traces"
    assert ["astro_sft", "direct_sft"] in [list(pair) for pair in report.compare]
    assert set(report.samples_for) == {"base", "direct_sft"}
