"""Kinship: what is one person of a family to another? The task `family_relationships` of reasoning-gym, with steps.

The answer can be read off: each step follows one statement of the story from the first person towards the second, and
the words along the way compose the relation.

    Jayden is married to Ava. They have a child called Edward. Edward is married to Sarah. They have a child called
    Lily.

    What is Jayden to Lily? Respond only with the word that describes their relationship.
    Jayden is a parent of Edward
    Edward is a parent of Lily
    answer is grandfather

Question, answer and verdict are reasoning-gym's own. Its answers for in-laws and nephews name the relation of the
second person to the first, so such questions are left out.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from random import Random
from typing import Any, ClassVar, NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.verifiers.base import StatedStep
from astro_factory.verifiers.gym import ReasoningGymVerifier, pack, require_gym
from astro_factory.verifiers.puzzles import Document, Exercise, PuzzleDomain, evenly_spaced

TASK = "family_relationships"
MOST_STEPS = 3
_ENTRIES = 1 << 30
"""Puzzles are drawn from so many entries of the task."""
_WORDS = {
    "parent": ("father", "mother"),
    "child": ("son", "daughter"),
    "spouse": ("husband", "wife"),
    "sibling": ("brother", "sister"),
    "grandparent": ("grandfather", "grandmother"),
    "grandchild": ("grandson", "granddaughter"),
}
_ASKED = {word for name, words in _WORDS.items() if name != "grandchild" for word in words}
_COMPOSED = {
    ("child", "spouse"): "child",
    ("child", "child"): "grandchild",
    ("child", "parent"): "sibling",
    ("grandchild", "spouse"): "grandchild",
    ("parent", "child"): "spouse",
    ("parent", "parent"): "grandparent",
    ("parent", "spouse"): "parent in law",
    ("parent in law", "parent"): "grandparent",
    ("sibling", "child"): "child",
    ("spouse", "parent"): "parent",
}
"""What a relation and one more link make."""
_LINKS = {"is a parent of": "parent", "is a child of": "child", "is married to": "spouse"}
_PHRASES = {link: phrase for phrase, link in _LINKS.items()}
_STEP = re.compile(rf"([A-Z][a-z]+) ({'|'.join(_LINKS)}) ([A-Z][a-z]+)[ .]*")
_STATED = re.compile(rf"^([A-Z][a-z]+) ({'|'.join(_LINKS)}) ([A-Z][a-z]+)[ .]*$", re.MULTILINE)
_COUPLE = re.compile(r"\b(\w+) is married to (\w+)\.(?: They have (?:a child|children) called ([^.]+)\.)?")


class Link(NamedTuple):
    """One statement, read from either of its persons."""

    person: str
    kind: str
    other: str

    @property
    def text(self) -> str:
        return f"{self.person} {_PHRASES[self.kind]} {self.other}"


class Kinship(ReasoningGymVerifier, PuzzleDomain):
    """`problem.info` is that of `reasoning_gym`; the persons who are asked about are in its metadata."""

    name = "kinship"
    version = 1
    sizes = range(4, 9)
    size_word = "persons"
    skills: ClassVar[Mapping[str, float]] = {"solve": 0.3, "attempt": 0.4, "series": 0.1, "relation": 0.2}

    def draw(self, random: Random, size: int) -> Problem | None:
        entry = _tasks(size)[random.randrange(_ENTRIES)]
        if entry["answer"] not in _ASKED:
            return None
        return Problem(
            id=f"kinship-{size}-{entry['metadata']['source_index']}",
            question=entry["question"],
            answer=entry["answer"],
            verifier=self.name,
            info=json.loads(json.dumps({"task": TASK, "metadata": pack(entry["metadata"])})),
            level=f"{size} {self.size_word}",
        )

    def identity(self, problem: Problem) -> str:
        """The story and the two persons, however the question is worded."""
        story, _, _ = problem.question.partition("\n")
        return " ".join([story, *_asked(problem)])

    def check_problem(self, problem: Problem) -> str | None:
        if reason := super().check_problem(problem):
            return reason
        if not {"person1", "person2"} <= set(problem.info["metadata"]):
            return "the metadata needs 'person1' and 'person2'"
        persons = {link.person for link in _links(problem.question)}
        return None if set(_asked(problem)) <= persons else "the story does not name both persons"

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        """The step, if the story states it and it goes on from the current person to a new one."""
        match = _STEP.fullmatch(text.strip())
        link = Link(match[1], _LINKS[match[2]], match[3]) if match else None
        return link.text if link and link in self._next(problem, steps) else None

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        at_end = _place(problem, steps) == _asked(problem)[1] or len(steps) == MOST_STEPS
        return at_end or not self._next(problem, steps)

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        """What the steps make the first person to the second; at another person, only that they are a relative."""
        place = _place(problem, steps)
        found = relation([_read(step) for step in steps]) if place == _asked(problem)[1] else f"relative of {place}"
        return f"answer is {found}"

    def start(self, problem: Problem) -> str:
        return _asked(problem)[0]

    def stated_steps(self, problem: Problem, response: str) -> list[StatedStep]:
        """A state is the person that is reached. An attempt is complete where `is_terminal` is true: at the second
        person, after `MOST_STEPS` steps, or where no statement leads to a person that the attempt has not visited."""
        asked, steps = _asked(problem)[1], []
        ways: dict[str, tuple[str, ...]] = {}  # to each person, the persons of the latest way there
        for person, phrase, other in _STATED.findall(evenly_spaced(response)):
            way = (*ways.get(person, (person,)), other)
            ends = other == asked or len(way) > MOST_STEPS or not _onward(problem, other, way)
            ways[other] = (other,) if ends else way
            steps.append(StatedStep(person, f"{person} {phrase} {other}", other, ends))
        return steps

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """The person reached (`state`); at the end that person and the one asked for (`check`)."""
        place = _place(problem, steps)
        if not self.is_terminal(problem, steps):
            return {"state": place}
        return {"state": place, "check": f"{place} want {_asked(problem)[1]}"}

    def is_right(self, problem: Problem, steps: Sequence[str]) -> bool:
        return _place(problem, steps) == _asked(problem)[1]

    def value(self, problem: Problem, steps: Sequence[str]) -> float | None:
        """Whether the second person can still be reached."""
        return float(self._way(problem, steps) is not None)

    def random_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        return random.choice(self._next(problem, steps)).text

    def right_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        way = self._way(problem, steps)
        if not way:
            raise ValueError("the second person cannot be reached from here")
        return way[0].text

    def exercises(self) -> Mapping[str, Exercise]:
        return {"relation": self._relation}

    def _relation(self, random: Random, problem: Problem) -> Document:
        """The word for one statement or two."""
        steps = self.attempt(random, problem)[: random.randint(1, 2)]
        return f"relation : {' , '.join(steps)}", f"answer is {relation([_read(step) for step in steps])}"

    def _next(self, problem: Problem, steps: Sequence[str]) -> list[Link]:
        visited = {_asked(problem)[0], *(_read(step).other for step in steps)}
        return _onward(problem, _place(problem, steps), visited)

    def _way(self, problem: Problem, steps: Sequence[str]) -> list[Link] | None:
        """A shortest way on to the second person within the steps that are left; empty there, None without one."""
        if _place(problem, steps) == _asked(problem)[1]:
            return []
        if len(steps) == MOST_STEPS:
            return None
        ways = [
            [link, *way]
            for link in self._next(problem, steps)
            if (way := self._way(problem, [*steps, link.text])) is not None
        ]
        return min(ways, key=len, default=None)


def relation(links: Sequence[Link]) -> str:
    """What the person at the beginning of the links is to the one at their end; `relative` where no word is known."""
    found = links[0].kind
    for link in links[1:]:
        found = _COMPOSED.get((found, link.kind), "relative")
    words = _WORDS.get(found)
    return words[links[0].person in _women()] if words else "relative"


def _asked(problem: Problem) -> tuple[str, str]:
    metadata = problem.info["metadata"]
    return metadata["person1"], metadata["person2"]


def _onward(problem: Problem, person: str, visited: Collection[str]) -> list[Link]:
    """The statements that lead from a person to one who is not visited yet."""
    return [link for link in _links(problem.question) if link.person == person and link.other not in visited]


def _place(problem: Problem, steps: Sequence[str]) -> str:
    return _read(steps[-1]).other if steps else _asked(problem)[0]


def _read(step: str) -> Link:
    match = _STEP.fullmatch(step)
    if match is None:
        raise ValueError(f"not a step of this problem: '{step}'")
    return Link(match[1], _LINKS[match[2]], match[3])


@lru_cache(maxsize=1 << 12)
def _links(question: str) -> tuple[Link, ...]:
    """Every statement of the story, read from both sides."""
    return tuple(_stated_links(question))


def _stated_links(question: str) -> Iterator[Link]:
    for first, second, children in _COUPLE.findall(question):
        yield Link(first, "spouse", second)
        yield Link(second, "spouse", first)
        for child in re.findall(r"[A-Z]\w+", children):
            for parent in (first, second):
                yield Link(parent, "parent", child)
                yield Link(child, "child", parent)


@cache
def _women() -> frozenset[str]:
    from reasoning_gym.graphs.family_relationships import FamilyRelationshipsConfig

    return frozenset(FamilyRelationshipsConfig().female_names)


@cache
def _tasks(size: int) -> Any:
    """The entries of the task for families of this size."""
    require_gym()
    import reasoning_gym

    return reasoning_gym.create_dataset(TASK, size=_ENTRIES, seed=0, min_family_size=size, max_family_size=size)
