"""The words of word problems: names, things, and the wordings of each family.

A scene of a guessing family is the noun of what is tried, the nouns of its calculations, and its wordings. Every
wording ends with its question.
"""

from typing import NamedTuple

NAMES = (
    "Ada", "Ben", "Carla", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karim", "Lena", "Mia", "Noah",
    "Olga", "Paul", "Rosa", "Sami", "Tina", "Yusuf",
)  # fmt: skip
THINGS = (
    "apples", "badges", "beads", "books", "buttons", "cards", "coins", "cookies", "marbles", "nuts", "pears", "pencils",
    "shells", "stamps", "stickers", "stones",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")

DISTRACTORS = (
    "{name} is {z} years old.",
    "The walk there takes {z} minutes.",
    "{other} has {z} books at home.",
    "{z} people are waiting outside.",
    "The house number is {z}.",
    "Last year there were {z} rainy days in May.",
)
"""Sentences with a number that the solution must not use."""


class Scene(NamedTuple):
    tried: str
    nouns: tuple[str, ...]
    texts: tuple[str, ...]


MIX = (
    Scene(
        "adults",
        ("children", "dollars", "dollars", "dollars"),
        (
            "{name} sells {n} tickets. An adult pays {a} dollars and a child pays {b} dollars. {name} takes {T} "
            "dollars in all. How many adults buy a ticket?",
            "A group of {n} people visits a museum. Adults pay {a} dollars each, children {b} dollars each. Together "
            "they pay {T} dollars. How many adults are in the group?",
            "Tickets cost {a} dollars for adults and {b} dollars for children. A family of {n} pays {T} dollars. "
            "How many of them are adults?",
        ),
    ),
    Scene(
        "large boxes",
        ("small boxes", "pieces", "pieces", "pieces"),
        (
            "{name} packs {T} {things} into {n} boxes. A large box holds {a} and a small box holds {b}. All boxes are "
            "full. How many large boxes are there?",
            "There are {n} full boxes with {T} {things} in all. Large boxes hold {a} {things}, small boxes hold {b}. "
            "How many boxes are large?",
            "A shop sends {n} boxes to {name}. Each large one holds {a} {things} and each small one {b}. {name} counts "
            "{T} {things}. How many large boxes did the shop send?",
        ),
    ),
    Scene(
        "long benches",
        ("short benches", "seats", "seats", "seats"),
        (
            "A park has {n} benches. A long bench seats {a} people, a short bench {b}. The benches seat {T} people "
            "together. How many long benches are there?",
            "{name} counts seats for {T} people on {n} benches. Long benches have {a} seats and short ones {b} seats. "
            "How many benches are long?",
        ),
    ),
    Scene(
        "roses",
        ("tulips", "dollars", "dollars", "dollars"),
        (
            "{name} buys {n} flowers for {T} dollars. A rose costs {a} dollars and a tulip {b} dollars. How many roses "
            "does {name} buy?",
            "A bunch of {n} flowers costs {T} dollars. It has roses for {a} dollars each and tulips for {b} dollars "
            "each. How many roses are in it?",
        ),
    ),
)
PARTS = (
    Scene(
        "for {name}",
        ("for {other}", "for {third}", "for both", "in all"),
        (
            "{other} has {k} times as many {things} as {name}, and {third} has {d} more than {name}. The three have "
            "{T} {things} together. How many does {name} have?",
            "{name}, {other} and {third} have {T} {things} in all. {other} has {k} times as many as {name}. {third} "
            "has {d} more than {name}. How many {things} has {name}?",
            "Together {name}, {other} and {third} own {T} {things}. The number of {other} is {k} times that of {name}; "
            "that of {third} is larger than that of {name} by {d}. How many are owned by {name}?",
        ),
    ),
    Scene(
        "on the first day",
        ("on the second day", "on the third day", "on two days", "in all"),
        (
            "{name} reads {T} pages in three days: on the second day {k} times as many as on the first, and on the "
            "third {d} more than on the first. How many pages does {name} read on the first day?",
            "In three days a baker sells {T} cakes. On the second day there are {k} times as many as on the first day. "
            "On the third day there are {d} more than on the first day. How many are sold on the first day?",
        ),
    ),
)
TRANSFER = (
    Scene(
        "given away",
        ("for {name}", "for {other}", "more"),
        (
            "{name} has {p} {things} and {other} has {q}. {name} gives some to {other}. Now {name} has {T} more than "
            "{other}. How many {things} does {name} give away?",
            "{other} owns {q} {things}, {name} owns {p}. After a gift from {name} to {other}, {name} still has {T} "
            "more than {other}. How many {things} are in the gift?",
        ),
    ),
    Scene(
        "moving",
        ("in the first", "in the second", "more"),
        (
            "There are {p} people in the first bus and {q} in the second. Some move from the first bus to the second. "
            "Then the first has {T} more than the second. How many people move?",
            "The first hall has {p} guests and the second {q}. Some guests of the first move to the second, and then "
            "the first has {T} more guests. How many guests move?",
        ),
    ),
)
AGES = (
    Scene(
        "years for {name}",
        ("years for {other}", "years then", "years then", "years together"),
        (
            "{other} is {k} times as old as {name}. In {y} years they will be {T} years old together. How old is "
            "{name}?",
            "Today {other} is {k} times as old as {name}. After {y} more years their ages add up to {T}. How old is "
            "{name} today?",
            "In {y} years the ages of {name} and {other} will make {T} in all. Now {other} is {k} times as old as "
            "{name}. What is the age of {name} now?",
        ),
    ),
)
CHANGES = {
    "+": ("{name} buys {n} more", "{name} finds {n} more", "{other} gives {name} {n} more", "{n} more arrive by post"),
    "-": ("{name} gives {n} to {other}", "{name} loses {n}", "{name} sells {n}", "{n} of them break"),
    "*": (
        "{name} collects until there are {n} times as many",
        "the number grows to {n} times what it was",
        "{name} trades them for {n} times as many",
    ),
    "/": (
        "{name} shares them evenly with others, {n} people in all",
        "{name} puts them into {n} equal heaps and keeps one",
        "only one of every {n} is left",
    ),
}
ORDINALS = ("First", "Then", "After that", "At last")
UNDO = (
    "{name} has some {things}. {changes} Now {name} has {T} {things}. How many did {name} have at first?",
    "At first {name} has a number of {things}. {changes} In the end there are {T}. How many {things} were there at "
    "first?",
    "{changes} This leaves {name} with {T} {things}. With how many {things} did {name} start?",
)
FORWARD = (
    "{name} has {s} {things}. {changes} How many {things} does {name} have now?",
    "At first {name} has {s} {things}. {changes} How many are there in the end?",
    "{name} starts with {s} {things}. {changes} With how many {things} does {name} end?",
)
UNITS = (
    (
        "days",
        7,
        (
            "{name} works for {w} weeks and {d} days and makes {m} {things} a day. {g} of them are sold. How many "
            "{things} are left?",
            "A machine runs for {w} weeks and {d} days. Each day it makes {m} {things}, but {g} in all are broken. How "
            "many good {things} does it make?",
        ),
    ),
    (
        "eggs",
        12,
        (
            "{name} buys {w} dozen eggs and {d} single eggs. An egg costs {m} cents. A coupon takes {g} cents off. How "
            "many cents does {name} pay?",
            "A cook has {w} dozen eggs and {d} more. Each egg makes {m} cookies, and the guests eat {g} cookies. How "
            "many cookies are left?",
        ),
    ),
    (
        "months",
        12,
        (
            "{name} saves {m} dollars a month for {w} years and {d} months and then spends {g} dollars. How many "
            "dollars are left?",
            "A club meets {m} times a month for {w} years and {d} months, but {g} meetings are called off. How many "
            "times does it meet?",
        ),
    ),
)
READ_OFF = (
    "{name} counts {a} {things} on {day1}, {b} on {day2} and {c} on {day3}. How many {things} does {name} count on "
    "{asked}?",
    "On {day1} a shop sells {a} {things}, on {day2} it sells {b}, and on {day3} {c}. How many are sold on {asked}?",
    "There were {a} guests on {day1}. On {day2} there were {b} and on {day3} there were {c}. How many guests were "
    "there on {asked}?",
)
