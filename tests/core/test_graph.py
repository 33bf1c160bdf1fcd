"""What a build of some targets is about."""

import pytest

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import StageConfig
from astro_factory.core.errors import Place
from astro_factory.core.graph import Graph, GraphNode


def graph(**nodes: tuple[str, tuple[str, ...]]) -> Graph:
    """A graph of name=(section, references)."""
    return Graph(
        "g",
        {
            name: GraphNode(name, section, "k", "m", StageConfig(), ArtifactType.TREES, 1, False, reads, {}, Place("s"))
            for name, (section, references) in nodes.items()
            for reads in [{reference: reference for reference in references}]
        },
        {},
    )


WHOLE = graph(
    m=("models", ()),
    spare=("models", ()),
    p=("problems", ()),
    a=("stages", ("m",)),
    b=("stages", ("a",)),
    c=("publish", ("p",)),
)


@pytest.mark.parametrize(
    ("targets", "names"), [(None, "abcmp"), (["a"], "am"), (["b"], "abm"), (["c"], "cp"), (["spare"], ["spare"])]
)
def test_wanted(targets, names):
    assert WHOLE.wanted(targets) == set(names)


def test_without_stages_all_is_wanted():
    assert graph(m=("models", ()), p=("problems", ())).wanted() == {"m", "p"}


def test_closure():
    assert WHOLE.closure({"b", "p"}) == {"b", "a", "m", "p"} and WHOLE.closure(set()) == set()
