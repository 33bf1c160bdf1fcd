import pytest
from pydantic import ValidationError

from astro_factory.stages.word_practice import Config, make_document
from astro_factory.stages.word_problems.skills import SKILLS


def config(**fields):
    return Config(kind="word_practice", **{"count": 400, **fields})


def test_a_document_depends_only_on_the_configuration_and_its_place():
    assert make_document(config(), 7) == make_document(config(count=8), 7)
    assert make_document(config(), 7) != make_document(config(seed=1), 7)


def test_all_skills_are_practised():
    documents = [make_document(config(), index) for index in range(400)]
    skills = [document["skill"] for document in documents]
    assert set(skills) == set(SKILLS)
    assert 150 < skills.count("solve") < 250
    assert all([message["role"] for message in document["messages"]] == ["user", "assistant"] for document in documents)


def test_some_solutions_are_asked_for_by_a_system_prompt():
    prompted = config(skills={"solve": 1}, system_prompt="Solve it.", system_share=0.5)
    roles = [len(make_document(prompted, index)["messages"]) for index in range(100)]
    assert 30 < roles.count(3) < 70
    assert make_document(prompted, 0)["messages"][-1] == make_document(config(skills={"solve": 1}), 0)["messages"][-1]


@pytest.mark.parametrize("skills", [{}, {"solve": -1, "judge": 2}, {"solve": 0}])
def test_wrong_weights_are_refused(skills):
    with pytest.raises(ValidationError, match="needs at least one skill"):
        config(skills=skills)


def test_the_order_of_weights_does_not_count():
    first = config(families={"mix": 1, "undo": 2}, skills={"solve": 1, "judge": 1})
    second = config(families={"undo": 2, "mix": 1, "ages": 0}, skills={"judge": 1, "solve": 1})
    assert [make_document(first, index) for index in range(50)] == [make_document(second, index) for index in range(50)]
    with pytest.raises(ValidationError, match="needs at least one family"):
        config(families={})
