"""What a policy might write, with the verdict: wrong answers that look right, and right ones in other spellings."""

from astro_factory.core.problems import Problem

GUESS = Problem(
    "g",
    "find x to 12 : 3 x + 5 mod 7 = 1 , 4 x + 1 mod 9 = 6",
    "8",
    "guess_number",
    {"largest": 12, "conditions": [[3, 5, 7, 1], [4, 1, 9, 6]]},
)
IN_TURN = Problem(GUESS.id, GUESS.question, GUESS.answer, "guess_in_turn", GUESS.info)
CODE = Problem(
    "m",
    "code of 3 from black blue green red white yellow : "
    "red blue green 1 1 , blue white black 1 0 , white green red 0 1",
    "blue yellow green",
    "mastermind",
    {
        "pegs": 3,
        "clues": [
            [["red", "blue", "green"], 1, 1],
            [["blue", "white", "black"], 1, 0],
            [["white", "green", "red"], 0, 1],
        ],
    },
)
SORT = Problem("s", "sort 41 7 23", "7 23 41", "sorting", {"numbers": [41, 7, 23]})
STORY = (
    "Jayden is married to Ava. They have a child called Edward. Edward is married to Sarah. "
    "They have children called Lily and Noah."
)
KIN = Problem(
    "k",
    f"{STORY}\n\nWhat is Jayden to Lily? Respond only with the word that describes their relationship.",
    "grandfather",
    "kinship",
    {"task": "family_relationships", "metadata": {"person1": "Jayden", "person2": "Lily"}},
)

RIGHT, WRONG, NONE = "correct", "incorrect", "no_answer"
VERDICTS: list[tuple[Problem, str, str, str]] = [
    (GUESS, "answer 8", RIGHT, "8"),
    (GUESS, "try 3 : 14 19 5 , 12 13 4\n  answer   08 ", RIGHT, "8"),
    (GUESS, "answer 3\nanswer 8", RIGHT, "8"),
    (GUESS, "answer 8\nanswer 1", WRONG, "1"),  # the last line counts
    (GUESS, "answer 1", WRONG, "1"),  # meets the first condition alone
    (GUESS, "try 1 : 24 29 1 , 32 33 6\nanswer 1", WRONG, "1"),  # what a test claims is worth nothing
    (GUESS, "answer 44", WRONG, "44"),  # meets both, but is too large
    (GUESS, "answer 0", WRONG, "0"),
    (GUESS, "answer 8 or 9", NONE, ""),
    (GUESS, "answer 8 9", NONE, ""),
    (GUESS, "answer -8", NONE, ""),
    (GUESS, "answer 8.0", NONE, ""),
    (GUESS, "answer x = 8", NONE, ""),
    (GUESS, "answer 4 + 4", NONE, ""),
    (GUESS, "answer \u0668", NONE, ""),
    (GUESS, "answer 0000000008", NONE, ""),
    (GUESS, "answered 8", NONE, ""),
    (GUESS, "the answer 8", NONE, ""),
    (GUESS, "try 8 : 24 29 1 , 32 33 6", NONE, ""),
    (GUESS, "answer", NONE, ""),
    (IN_TURN, "try 3 : 9 14 0 want 1\nanswer 8", RIGHT, "8"),
    (IN_TURN, "try 1 : 3 8 1 want 1 , 4 5 6 want 6\nanswer 1", WRONG, "1"),  # what a test claims is worth nothing
    (IN_TURN, "try 8 : 24 29 1 want 1 , 32 33 6 want 6", NONE, ""),
    (CODE, "answer blue yellow green", RIGHT, "blue yellow green"),
    (CODE, "  answer  blue  yellow  green ", RIGHT, "blue yellow green"),
    (CODE, "answer green yellow blue", WRONG, "green yellow blue"),  # the same colours
    (CODE, "answer blue yellow", WRONG, "blue yellow"),
    (CODE, "answer blue yellow green red", WRONG, "blue yellow green red"),
    (CODE, "answer blue blue green", WRONG, "blue blue green"),
    (CODE, "answer blue yellow green\nanswer red white blue", WRONG, "red white blue"),
    (CODE, "answer blue , yellow , green", NONE, ""),
    (CODE, "answer Blue Yellow Green", NONE, ""),
    (CODE, "answer blue yellow pink", NONE, ""),
    (CODE, "answer blue yellow green or red white blue", NONE, ""),
    (CODE, "try blue yellow green : 1 1 , 1 0 , 0 1", NONE, ""),
    (SORT, "answer 7 23 41", RIGHT, "7 23 41"),
    (SORT, "take 41 left 7 23\n answer  07 23 41", RIGHT, "7 23 41"),
    (SORT, "answer 41 23 7", WRONG, "41 23 7"),
    (SORT, "answer 7 23", WRONG, "7 23"),
    (SORT, "answer 7 7 23 41", WRONG, "7 7 23 41"),
    (SORT, "answer 7 23 42", WRONG, "7 23 42"),
    (SORT, "answer 72341", WRONG, "72341"),
    (SORT, "answer 7 23 41\nanswer 41 7 23", WRONG, "41 7 23"),
    (SORT, "answer 7 , 23 , 41", NONE, ""),
    (SORT, "answer 7 < 23 < 41", NONE, ""),
    (SORT, "answer 7 23 41 .", NONE, ""),
    (SORT, "answer \u0667 23 41", NONE, ""),
    (SORT, "answer", NONE, ""),
    (KIN, "answer is grandfather", RIGHT, "grandfather"),
    (KIN, "so <answer>Grandfather</answer>", RIGHT, "Grandfather"),
    (KIN, "answer is father\nanswer is grandfather", RIGHT, "grandfather"),
    (KIN, "answer is grandfather\nanswer is uncle", WRONG, "uncle"),
    (KIN, "answer is grandmother", WRONG, "grandmother"),
    (KIN, "answer is father", WRONG, "father"),
    (KIN, "answer is granddaughter", WRONG, "granddaughter"),  # the other way round
    (KIN, "answer is grandfather or father", WRONG, "grandfather or father"),
    (KIN, "Jayden is a parent of Edward\nEdward is a parent of Lily", NONE, ""),
    (KIN, "", NONE, ""),
]

FAILURES = [
    (GUESS, "try 3 : 9 14 0", " , 12 13 4\nanswer 3"),
    (GUESS, "try 1 : 3 8 1 , 4 5 5", "\nanswer 1"),  # it meets the first condition
    (GUESS, "try 9 : 27 32 1", " , 36 37 6\nanswer 9"),  # what it has miscalculated does not matter
    (GUESS, "try 40 :", " 120 125 6 , 160 161 8\nanswer 40"),
    (GUESS, "try 8 : 24 29 1 , 32 33 6\ntry 3 : 9 14 0", " , 12 13 4\nanswer 3"),
    (GUESS, "try 8 : 24 29 1 , 32 33 6\nanswer 7", ""),  # the test was right
    (GUESS, "answer 7", ""),
    (IN_TURN, "try 3 : 9 14 0 want 1", "\nanswer 3"),
    (IN_TURN, "try 3 : 9 14 0 want 1", " , 12 13 4 want 6\nanswer 3"),  # it goes on where it should have ended
    (IN_TURN, "try 1 : 3 8 1 want 1 , 4 5 5 want 6", "\nanswer 1"),
    (
        CODE,
        "try blue green red : red elsewhere blue elsewhere green elsewhere 0 3",
        " , blue placed\nanswer blue green red",
    ),
    (CODE, "try blue blue red :", " red placed\nanswer blue blue red"),
    (CODE, "answer red white blue", ""),
    (SORT, "take 23 left 41 7", "\ntake 7 left 41\ntake 41 left\nanswer 23 7 41"),
    (SORT, "take 7 left 41 23\ntake 41 left 23", "\ntake 23 left\nanswer 7 41 23"),
    (SORT, "take 41 left 7 23\nback to 41 7 23\ntake 7 left 41 23\ntake 23 left 41\ntake 41 left\nanswer 7 41 23", ""),
    (SORT, "take 7 left 41 23\nanswer 7 41 23", ""),
]
"""Responses whose answer is wrong, in two parts: a check of the steps rejects them after the first. Where the second
is empty, no step shows it."""
