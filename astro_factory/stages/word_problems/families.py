"""The families of word problems. Each function draws one, or None where the draw breaks a rule: draw again.

`mix`, `parts`, `transfer` and `ages` are solved by guess and check; `undo`, `forward` and `units` by calculations in
the right order; in `read_off` the answer stands in the question.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from astro_factory.stages.word_problems import wordings
from astro_factory.stages.word_problems.story import LARGEST, Calculation, WordProblem, results
from astro_factory.verifiers.countdown import calculate

_DISTRACTED = 0.3
INVERSE = {"+": "-", "-": "+", "*": "/", "/": "*"}

Draw = Callable[[Random], WordProblem | None]


def mix(random: Random) -> WordProblem | None:
    """Of n things some count a and the others b, T together: how many are of the first sort?"""
    n, a, b = random.randint(5, 11), random.randint(2, 9), random.randint(2, 9)
    if a == b:
        return None
    calculations = [(n, "-", "x"), ("x", "*", a), ("#0", "*", b), ("#1", "+", "#2")]
    given = {"n": n, "a": a, "b": b}
    return _guess(random, "mix", wordings.MIX, f"mix {n} {a} {b}", range(1, n), given, calculations)


def parts(random: Random) -> WordProblem | None:
    """Of three parts the second is k times the first, the third d more than the first, T together."""
    k, d = random.randint(2, 5), random.randint(2, 25)
    calculations = [("x", "*", k), ("x", "+", d), ("x", "+", "#0"), ("#1", "+", "#2")]
    return _guess(random, "parts", wordings.PARTS, f"parts {k} {d}", range(2, 13), {"k": k, "d": d}, calculations)


def transfer(random: Random) -> WordProblem | None:
    """Of p and q some move from the first to the second, which leaves the first T ahead."""
    p, q = random.randint(14, 50), random.randint(2, 40)
    calculations = [(p, "-", "x"), (q, "+", "x"), ("#0", "-", "#1")]
    most = (p - q - 1) // 2
    if most < 4:
        return None
    guesses = range(1, min(most, 12) + 1)
    return _guess(random, "transfer", wordings.TRANSFER, f"transfer {p} {q}", guesses, {"p": p, "q": q}, calculations)


def ages(random: Random) -> WordProblem | None:
    """One is k times as old as the other; in y years they are T together."""
    k, y = random.randint(2, 5), random.randint(2, 20)
    calculations = [("x", "*", k), ("x", "+", y), ("#0", "+", y), ("#1", "+", "#2")]
    return _guess(random, "ages", wordings.AGES, f"ages {k} {y}", range(2, 13), {"k": k, "y": y}, calculations)


def undo(random: Random) -> WordProblem | None:
    """Two or three changes end at T: what was there at first?"""
    drawn = _changes(random)
    if drawn is None:
        return None
    start, changes, end = drawn
    words, thing = _words(random), random.choice(wordings.THINGS)
    back = [(INVERSE[operator], number) for operator, number in reversed(changes)]
    text = random.choice(wordings.UNDO).format(**words, T=end, things=thing, changes=_told(random, changes, words))
    structure = "undo " + " ".join(f"{operator}{number}" for operator, number in changes)
    plan = _chain(end, back, thing)
    return WordProblem("undo", structure, _distract(random, text, words), start, plan, redo=changes, wanted=end)


def forward(random: Random) -> WordProblem | None:
    """Two or three changes of a given number: what is there in the end?"""
    drawn = _changes(random)
    if drawn is None:
        return None
    start, changes, end = drawn
    words, thing = _words(random), random.choice(wordings.THINGS)
    back = tuple((INVERSE[operator], number) for operator, number in reversed(changes))
    text = random.choice(wordings.FORWARD).format(**words, s=start, things=thing, changes=_told(random, changes, words))
    structure = "forward " + " ".join(f"{operator}{number}" for operator, number in changes)
    plan = _chain(start, changes, thing)
    return WordProblem("forward", structure, _distract(random, text, words), end, plan, redo=back, wanted=start)


def units(random: Random) -> WordProblem | None:
    """An amount in two units, as weeks and days, times a rate, less what is lost."""
    noun, size, texts = random.choice(wordings.UNITS)
    w, d, m = random.randint(2, 9), random.randint(2, size - 1), random.randint(2, 9)
    g = random.randint(2, 20)
    plan = tuple(
        Calculation(*calculation)
        for calculation in (
            (w, "*", size, noun), ("#0", "+", d, noun), ("#1", "*", m, "in all"), ("#2", "-", g, "left")
        )
    )  # fmt: skip
    found = results(plan, 0)
    if found is None or not found[-1][2]:
        return None
    words, thing = _words(random), random.choice(wordings.THINGS)
    text = random.choice(texts).format(**words, w=w, d=d, m=m, g=g, things=thing)
    redo = (("+", g), ("/", m), ("-", d), ("/", size))
    return WordProblem(
        "units", f"units {size} {d} {m} {g}", _distract(random, text, words), found[-1][2], plan, redo=redo, wanted=w
    )


def read_off(random: Random) -> WordProblem | None:
    """Three numbers are given and one of them is asked for."""
    numbers = random.sample(range(2, LARGEST), 3)
    words, days = _words(random), random.sample(wordings.DAYS, 3)
    asked = random.randrange(3)
    text = random.choice(wordings.READ_OFF).format(
        **words, things=random.choice(wordings.THINGS), asked=days[asked],
        **dict(zip("abc", numbers, strict=True)), **{f"day{i + 1}": day for i, day in enumerate(days)},
    )  # fmt: skip
    structure = f"read_off {' '.join(map(str, sorted(numbers)))}"
    answer = numbers[asked]
    return WordProblem("read_off", structure, text, answer, (), f"on {days[asked]}", tuple(numbers), wanted=answer)


FAMILIES: dict[str, Draw] = {
    "mix": mix,
    "parts": parts,
    "transfer": transfer,
    "ages": ages,
    "undo": undo,
    "forward": forward,
    "units": units,
    "read_off": read_off,
}


def _guess(
    random: Random,
    family: str,
    scenes: tuple[wordings.Scene, ...],
    structure: str,
    guesses: range,
    numbers: dict[str, int],
    calculations: list[tuple[Any, str, Any]],
) -> WordProblem | None:
    """A problem whose answer is tried: it is drawn, and the plan gives the number T that the question states."""
    scene, words = random.choice(scenes), _words(random)
    plan = tuple(
        Calculation(*calculation, noun.format(**words))
        for calculation, noun in zip(calculations, scene.nouns, strict=True)
    )
    answer = random.choice(guesses)
    found = results(plan, answer)
    if found is None or not found[-1][2]:
        return None
    total = found[-1][2]
    text = random.choice(scene.texts).format(**words, **numbers, T=total, things=random.choice(wordings.THINGS))
    return WordProblem(
        family, structure, _distract(random, text, words), answer, plan, scene.tried.format(**words), tuple(guesses),
        wanted=total,
    )  # fmt: skip


def _changes(random: Random) -> tuple[int, tuple[tuple[str, int], ...], int] | None:
    """A start, two or three operations with their numbers, and the end."""
    start = value = random.randint(3, 36)
    changes: list[tuple[str, int]] = []
    for _ in range(random.randint(2, 3)):
        operator = random.choice("+-*/")
        number = random.randint(2, 4) if operator in "*/" else random.randint(2, 20)
        result = calculate(value, operator, number, LARGEST)
        if not result:
            return None
        changes.append((operator, number))
        value = result
    return start, tuple(changes), value


def _chain(start: int, changes: Any, thing: str) -> tuple[Calculation, ...]:
    """Each change applied to the result of the one before."""
    left = [start, *(f"#{index}" for index in range(len(changes) - 1))]
    return tuple(
        Calculation(first, operator, number, thing) for first, (operator, number) in zip(left, changes, strict=True)
    )


def _told(random: Random, changes: tuple[tuple[str, int], ...], words: dict[str, str]) -> str:
    """The changes as sentences."""
    sentences = []
    for place, (operator, number) in enumerate(changes):
        event = random.choice(wordings.CHANGES[operator]).format(**words, n=number)
        sentences.append(f"{wordings.ORDINALS[place]} {event}.")
    return " ".join(sentences)


def _words(random: Random) -> dict[str, str]:
    return dict(zip(("name", "other", "third"), random.sample(wordings.NAMES, 3), strict=True))


def _distract(random: Random, text: str, words: dict[str, str]) -> str:
    """Perhaps adds a sentence whose number does not matter, at the beginning or before the question."""
    if random.random() >= _DISTRACTED:
        return text
    sentence = random.choice(wordings.DISTRACTORS).format(**words, z=random.randint(2, 60))
    story, dot, question = text.rpartition(". ")
    return f"{sentence} {text}" if random.random() < 0.5 else f"{story}{dot}{sentence} {question}"
