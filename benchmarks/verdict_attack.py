r"""Golds of every answer type with what a policy might try: rewordings that are right, mutations that are not.

`pairs(seed, count)` yields `Attack`s: a gold answer, an answer, whether it is right, and what was done. Values are
built from numbers that the generator holds, never by parsing text, so that the expected verdict does not depend on what
is tested. The same seed gives the same pairs on every machine.
"""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

Rewording = Callable[[str, random.Random], str]


class Attack(NamedTuple):
    """One pair; `kind` names the gold's type and the rewording or mutation."""

    gold: str
    answer: str
    is_right: bool
    kind: str


class Gold(NamedTuple):
    """A gold answer, other ways of writing it, and wrong answers close to it, each with the name of its kind."""

    type: str
    text: str
    same: list[tuple[str, str]]
    wrong: list[tuple[str, str]]


def pairs(seed: int, count: int) -> Iterator[Attack]:
    """`count` pairs, about half of them right."""
    rng = random.Random(seed)
    for number in range(count):
        gold = GOLDS[number % len(GOLDS)](rng)
        is_right = rng.random() < 0.4
        kind, answer = rng.choice(gold.same if is_right else gold.wrong)
        if rng.random() < 0.3:
            wrapper, pattern = rng.choice(WRAPPERS)
            kind, answer = f"{kind}+{wrapper}", pattern.replace("@", answer)
        yield Attack(gold.text, rf"So we get \boxed{{{answer}}}.", is_right, f"{gold.type}/{kind}")


WRAPPERS = [
    ("math", "$@$"), ("spaces", " @ "), ("parens", r"\(@\)"), ("thin space", r"@\,"), ("display", r"\displaystyle @"),
    ("full stop", "@."), ("quad", r"\quad @"), ("double dollar", "$$@$$"),
]  # fmt: skip
HEDGES = [
    ("or", r"@ \text{ or } #"), ("or words", r"@\text{ or #}"), ("not", r"\text{not }@"), ("list", "@, #"),
    ("chain", "x=#=@"), ("chain back", "@=#"), ("approx", r"#\approx @"), ("wrong", r"@\text{ is wrong}"),
    ("subscript", "@_{2}"), ("and", r"@ \text{ and } #"), ("maybe", r"@\text{ maybe #}"), ("set", r"\{@,#\}"),
    ("unless", r"@\text{ unless it is #}"), ("between", r"\text{between }@\text{ and }@"), ("either", r"\text{either }@\text{ or }#"),
    ("plus minus", r"\pm @"), ("less", r"<@"), ("at least", r"\ge @"), ("interval", r"[@,#]"), ("but", r"@\text{ but also }#"),
    ("factor word", r"@\text{ dozen}"), ("halves", r"@\text{ halves}"), ("negated", r"\neg @"), ("choice", "(A) #"),
    ("slash", "@ / #"), ("semicolon", "@; #"), ("not equal", r"\ne @"), ("tuple", "(@,#)"), ("two numbers", "@ #"),
    ("if", r"@\text{ if }x>0"), ("percent more", r"@\%\%"), ("prime", "@'"), ("to", r"@\text{ to }#"), ("ratio", "@:#"),
]  # fmt: skip
"""Answers that name the right value beside another (`#`), or take it back; right for no number."""


def _hedged(value: str, other: str) -> list[tuple[str, str]]:
    return [(f"hedge {name}", pattern.replace("@", value).replace("#", other)) for name, pattern in HEDGES]


def _digits_changed(text: str, rng: random.Random) -> str:
    """A number with one digit replaced by another."""
    at = rng.choice([index for index, char in enumerate(text) if char.isdigit()])
    digit = rng.choice([d for d in "123456789" if d != text[at]])
    return text[:at] + digit + text[at + 1 :]


def integer(rng: random.Random) -> Gold:
    value = rng.choice(
        [rng.randint(2, 99), rng.randint(-9999, -2), rng.randint(10**4, 10**9), rng.randint(10**20, 10**21)]
    )
    text = str(value)
    grouped = f"{value:,}"
    same = [
        ("plain", text), ("decimal", f"{text}.0"), ("grouped", grouped), ("latex grouped", grouped.replace(",", "{,}")),
        ("named", f"x={text}"), ("named other", f"n = {text}"), ("function", f"f(3)={text}"), ("unit", rf"{text}\text{{ cm}}"),
        ("noun", rf"{text}\text{{ apples}}"), ("plain noun", f"{text} marbles"), ("sum", f"{value - 7}+7"), ("product", rf"{text}\cdot 1"),
        ("chain", f"{value - 1}+1={text}"), ("fraction", rf"\frac{{{2 * value}}}{{2}}"), ("set", rf"\{{{text}\}}"),
        ("choice", f"(B) {text}" if value > 0 else text), ("money", rf"\${text}" if value > 0 else text), ("text", rf"\text{{{text}}}"),
        ("twice", f"{text}, {text}"), ("bold", rf"\mathbf{{{text}}}"), ("probability name", rf"N(A)={text}"), ("brackets", f"({text})"),
    ]  # fmt: skip
    other = value + rng.choice([-1, 1, 10, -10])
    wrong = [
        ("digit", _digits_changed(text, rng)), ("sign", str(-value)), ("next", str(value + 1)), ("previous", str(value - 1)),
        ("tenfold", f"{text}0"), ("power", f"{text}^2"), ("root", rf"\sqrt{{{abs(value)}}}"), ("inverse", rf"\frac{{1}}{{{text}}}"),
        ("point", f"{text[:-1]}.{text[-1]}"), ("factorial", f"{abs(value) % 1000 + 3}!"), ("tiny", f"{text}.0000001"),
        ("letter", f"{text}x"), ("infinity", r"\infty"), ("nothing", "x"), ("zero power", f"10^{{{text[:3]}}}"),
        *_hedged(text, str(other)),
    ]  # fmt: skip
    if value == 2:
        wrong = [pair for pair in wrong if pair[0] != "hedge slash"]
    return Gold("integer", text, same, wrong)


def large(rng: random.Random) -> Gold:
    base, exponent, shift = rng.choice([2, 3, 7, 10]), rng.randint(70, 400), rng.choice([-3, -2, -1, 1, 2])
    text = f"{base}^{{{exponent}}}{shift:+d}"
    same = [
        ("plain", text), ("order", f"{shift}+{base}^{{{exponent}}}"), ("split", rf"{base}\cdot {base}^{{{exponent - 1}}}{shift:+d}"),
        ("value", str(base**exponent + shift)), ("named", f"N={text}"), ("squares", f"({base}^{{{exponent // 2}}})^2\\cdot {base}^{{{exponent % 2}}}{shift:+d}"),
    ]  # fmt: skip
    wrong = [
        ("next", f"{base}^{{{exponent}}}{shift + 1:+d}"), ("sign", f"{base}^{{{exponent}}}{-shift:+d}"), ("exponent", f"{base}^{{{exponent + 1}}}{shift:+d}"),
        ("bare", f"{base}^{{{exponent}}}"), ("value", str(base**exponent + shift + 1)), ("decimal", f"{base**exponent + shift}.5"),
        ("approx", rf"{base}^{{{exponent}}}{shift:+d}\approx {base}^{{{exponent}}}{shift + 1:+d}"), ("sci", f"{float(base**min(exponent, 290)):.6e}"),
    ]  # fmt: skip
    return Gold("large", text, same, wrong)


def tiny(rng: random.Random) -> Gold:
    exponent, above = rng.randint(30, 300), rng.choice([1, 3, 5])
    text = rf"\frac{{{above}}}{{2^{{{exponent}}}}}"
    same = [
        ("plain", text), ("negative power", rf"{above}\cdot 2^{{-{exponent}}}"), ("slash", f"{above}/2^{{{exponent}}}"),
        ("power of a half", rf"{above}\left(\frac12\right)^{{{exponent}}}"), ("named", f"P(A)={above}/2^{{{exponent}}}"),
    ]  # fmt: skip
    wrong = [
        ("zero", "0"), ("decimal zero", "0.000000"), ("negative zero", "-0.000000"), ("exponent", rf"\frac{{{above}}}{{2^{{{exponent + 1}}}}}"),
        ("sign", rf"-\frac{{{above}}}{{2^{{{exponent}}}}}"), ("above", rf"\frac{{{above + 2}}}{{2^{{{exponent}}}}}"), ("point one", "0.0000001"),
        ("percent", r"0\%"), ("tends", rf"{above}/2^{{{exponent}}}=0"),
    ]  # fmt: skip
    return Gold("tiny", text, same, wrong)


def fraction(rng: random.Random) -> Gold:
    value = Fraction(rng.randint(1, 400), rng.choice([3, 6, 7, 9, 11, 13, 21, 97]))
    if value.denominator == 1:
        value += Fraction(1, 7)
    sign = rng.choice(["", "-"])
    above, below = value.numerator, value.denominator
    text = rf"{sign}\frac{{{above}}}{{{below}}}"
    whole, rest = divmod(above, below)
    decimals = f"{above * 10**10 // below:011d}"
    same = [
        ("plain", text), ("dfrac", rf"{sign}\dfrac{{{above}}}{{{below}}}"), ("slash", f"{sign}{above}/{below}"), ("scaled", rf"{sign}\frac{{{3 * above}}}{{{3 * below}}}"),
        ("named", f"x={sign}{above}/{below}"), ("over", rf"{sign}{{{above} \over {below}}}"), ("division", rf"{sign}{above}\div {below}"),
        ("power", rf"{sign}{above}\cdot {below}^{{-1}}"), ("decimal", f"{sign}{decimals[:-10]}.{decimals[-10:]}"), ("tfrac", rf"{sign}\tfrac{{{above}}}{{{below}}}"),
        ("mixed", rf"{sign}{whole}\frac{{{rest}}}{{{below}}}" if whole else text), ("chain", rf"{sign}\frac{{{2 * above}}}{{{2 * below}}}={text}"),
        ("probability", rf"\Pr(A)={sign}\frac{{{above}}}{{{below}}}"), ("approx", rf"{text}\approx {sign}{decimals[:-10]}.{decimals[-10:-7]}"),
    ]  # fmt: skip
    wrong = [
        ("inverse", rf"{sign}\frac{{{below}}}{{{above}}}"), ("sign", text.removeprefix("-") if sign else f"-{text}"), ("above", rf"{sign}\frac{{{above + 1}}}{{{below}}}"),
        ("below", rf"{sign}\frac{{{above}}}{{{below + 1}}}"), ("short decimal", f"{sign}{above / below:.3f}"),
        ("numerator", f"{sign}{above}"), ("decimal digit", f"{sign}{decimals[:-10]}.{_digits_changed(decimals[-10:-2], rng)}"), ("binomial", rf"{sign}\binom{{{above}}}{{{below}}}"),
        *_hedged(text, f"{above}/{below + 1}"),
    ]  # fmt: skip
    if above == below + 2 or below == 1:
        return fraction(rng)
    right = -value if sign else value
    # A short decimal may be exact (47.5), and a changed digit may round to the value after all.
    allowed = {"short decimal": Fraction(0), "decimal digit": Fraction(1, 2 * 10**8)}
    drop = {name for name, mutant in wrong if name in allowed and abs(Fraction(mutant) - right) <= allowed[name]}
    drop |= {"hedge plus minus", "hedge ratio", "hedge slash"}
    return Gold("fraction", text, same, [pair for pair in wrong if pair[0] not in drop])


def decimal(rng: random.Random) -> Gold:
    places = rng.randint(1, 4)
    digits = rng.randint(10 ** (places - 1) + 1, 10 ** (places + 3))
    digits += digits % 10 == 0
    value = Fraction(digits, 10**places)
    text = f"{digits / 10**places:.{places}f}"
    same = [
        ("plain", text), ("zeros", f"{text}00"), ("fraction", rf"\frac{{{value.numerator}}}{{{value.denominator}}}"), ("scientific", rf"{digits}\times 10^{{-{places}}}"),
        ("e", f"{digits}e-{places}"), ("named", f"x={text}"), ("dollars", rf"\${text}"), ("unit", rf"{text}\text{{ m}}"), ("percent", rf"{digits}\times 10^{{{2 - places}}}\%"),
        ("approx sign", rf"\approx {text}"),
    ]  # fmt: skip
    wrong = [
        ("digit", f"{_digits_changed(text, rng)}"), ("sign", f"-{text}"), ("moved point", f"{digits}"), ("more digits", f"{text}5"), ("fewer", text[:-1].rstrip(".")),
        ("exponent", rf"{digits}\times 10^{{-{places + 1}}}"), ("percent", rf"{text}0\%" if False else rf"{10 * digits}\%"), *_hedged(text, f"{text}1"),
    ]  # fmt: skip
    if Fraction(digits) == value or Fraction(10 * digits, 100) == value:
        return decimal(rng)
    return Gold("decimal", text, same, [pair for pair in wrong if pair[0] not in ("hedge approx",)])


def percent(rng: random.Random) -> Gold:
    value = rng.randint(2, 98)
    text = rf"{value}\%"
    same = [
        ("plain", text), ("bare", str(value)), ("share", f"0.{value:02d}"), ("fraction", rf"\frac{{{value}}}{{100}}"), ("word", f"{value} percent"),
        ("text", rf"{value}\text{{ percent}}"), ("named", rf"p={value}\%"), ("sign", f"{value}%"), ("identity", rf"0.{value:02d}={value}\%"),
    ]  # fmt: skip
    wrong = [
        ("digit", rf"{value + 1}\%"), ("tenth", rf"{value / 10:.1f}\%"), ("hundredfold", rf"{value}00\%"), ("sign", rf"-{value}\%"), ("other share", f"0.0{value:02d}"),
        ("false identity", rf"0.{value:02d}={value + 1}\%"), ("approx", rf"{value - 1}\%\approx {value}\%"), ("unit", rf"{100 * value}\text{{ cm}}"), *_hedged(text, rf"{value + 1}\%"),
    ]  # fmt: skip
    return Gold("percent", text, same, [pair for pair in wrong if pair[0] not in ("hedge percent more",)])


def radical(rng: random.Random) -> Gold:
    factor, inside = rng.randint(2, 12), rng.choice([2, 3, 5, 6, 7, 10, 11, 13])
    shift = rng.randint(1, 9)
    text = rf"{factor}\sqrt{{{inside}}}+{shift}"
    value = factor * inside**0.5 + shift
    same = [
        ("plain", text), ("order", rf"{shift}+{factor}\sqrt{{{inside}}}"), ("inside", rf"\sqrt{{{factor * factor * inside}}}+{shift}"), ("power", rf"{factor}\cdot {inside}^{{1/2}}+{shift}"),
        ("parentheses", rf"{factor}\sqrt({inside})+{shift}"), ("plain sqrt", f"{factor}sqrt({inside})+{shift}"), ("rationalised", rf"\frac{{{factor * inside}}}{{\sqrt{{{inside}}}}}+{shift}"),
        ("unicode", f"{factor}√{inside} + {shift}"), ("chain", rf"{text}\approx {value:.3f}"), ("long decimal", f"{value:.9f}"), ("named", rf"AB={text}"),
        ("cube", rf"{factor}\sqrt[4]{{{inside**2}}}+{shift}"), ("product", rf"{factor}\sqrt{{{2 * inside}}}\cdot\frac{{\sqrt2}}{{2}}+{shift}"),
    ]  # fmt: skip
    wrong = [
        ("sign", rf"{factor}\sqrt{{{inside}}}-{shift}"), ("inside", rf"{factor}\sqrt{{{inside + 1}}}+{shift}"), ("factor", rf"{factor + 1}\sqrt{{{inside}}}+{shift}"), ("shift", rf"{factor}\sqrt{{{inside}}}+{shift + 1}"),
        ("short decimal", f"{value:.2f}"), ("index", rf"{factor}\sqrt[3]{{{inside}}}+{shift}"), ("scope", rf"{factor}\sqrt{{{inside}+{shift}}}"), ("squared", rf"({text})^2"),
        ("near", rf"{factor}\sqrt{{{inside}}}+{shift}+10^{{-40}}"), ("decimal digit", f"{value + 0.0001:.9f}"), ("i", rf"{factor}\sqrt{{-{inside}}}+{shift}"), *_hedged(text, rf"{factor}\sqrt{{{inside}}}"),
    ]  # fmt: skip
    drop = (
        "hedge percent more",
        "hedge plus minus",
        "hedge prime",
        "hedge subscript",
        "hedge factor word",
        "hedge halves",
        "hedge slash",
        "hedge ratio",
        "hedge two numbers",
    )
    return Gold("radical", text, same, [pair for pair in wrong if pair[0] not in drop])


def constant(rng: random.Random) -> Gold:
    n = rng.randint(2, 40)
    gold, same, wrong = rng.choice(
        [
            (rf"e^{{-{n}}}", [rf"\frac{{1}}{{e^{{{n}}}}}", rf"\exp(-{n})", rf"(1/e)^{{{n}}}"], [rf"e^{{-{n + 1}}}", "0", "0.000000", rf"e^{{{n}}}", rf"-e^{{-{n}}}", rf"\frac{{1}}{{e^{{{n}}}}}+10^{{-90}}"]),
            (rf"{n}\pi", [rf"\pi\cdot {n}", f"{n}π", rf"\frac{{{2 * n}\pi}}{{2}}", rf"{n}pi", rf"x={n}\pi"], [rf"{n + 1}\pi", rf"{n}", rf"{n * 3.14:.2f}", rf"\frac{{\pi}}{{{n}}}", rf"-{n}\pi", rf"\pi^{{{n}}}"]),
            (rf"\ln {n}", [rf"\ln({n})", rf"-\ln\frac{{1}}{{{n}}}", rf"\frac12\ln {n * n}", rf"\log_e {n}"], [rf"\ln {n + 1}", rf"\log_2 {n}", f"{n}", rf"\ln(-{n})"]),
            (rf"\binom{{{n + 60}}}{{{n}}}", [rf"{{{n + 60} \choose {n}}}", rf"\binom{{{n + 60}}}{{60}}", rf"\frac{{{n + 60}!}}{{{n}!60!}}"], [rf"\binom{{{n + 60}}}{{{n}}}+1", rf"\binom{{{n + 61}}}{{{n}}}", rf"\frac{{{n + 60}}}{{{n}}}"]),
            (rf"{n + 30}!", [rf"{n + 30}\cdot {n + 29}!"], [rf"{n + 31}!", rf"{n + 30}!+1", rf"({n + 30}!)!", f"-{n + 30}!"]),
            (rf"\sin {n}^\circ", [rf"\sin({n}^\circ)", rf"\cos {90 - n}^\circ", rf"\sin\frac{{{n}\pi}}{{180}}"], [rf"\sin {n}", rf"\cos {n}^\circ", rf"\sin {n + 1}^\circ", rf"{n}^\circ"]),
            (rf"\log_2 {2 * n + 1}", [rf"\frac{{\ln {2 * n + 1}}}{{\ln 2}}", rf"\log_{{2}}({2 * n + 1})"], [rf"\log_3 {2 * n + 1}", rf"\log_{{{2 * n + 1}}} 2", rf"\log {2 * n + 1}"]),
        ]
    )  # fmt: skip
    return Gold(
        "constant", gold, [("plain", gold), *(("form", text) for text in same)], [("value", text) for text in wrong]
    )


def polynomial(rng: random.Random) -> Gold:
    a, b = rng.sample([n for n in range(-9, 10) if n not in (0,)], 2)
    if a + b == 0 or a == b:
        return polynomial(rng)
    variable = rng.choice("xyzt")
    total, product = a + b, a * b
    text = f"{variable}^2{total:+d}{variable}{product:+d}"
    same = [
        ("plain", text), ("factors", f"({variable}{a:+d})({variable}{b:+d})"), ("order", f"{product}{total:+d}{variable}+{variable}^2"), ("stars", f"{variable}**2{total:+d}*{variable}{product:+d}"),
        ("square", f"({variable}{a:+d})^2{b - a:+d}({variable}{a:+d})"), ("named", f"f({variable})={text}"), ("scaled", rf"\frac{{2({text})}}{{2}}"), ("spaces", text.replace("+", " + ").replace("-", " - ")),
        ("braces", f"{variable}^{{2}}{total:+d}{variable}{product:+d}"), ("identity", f"({variable}{a:+d})({variable}{b:+d})={text}"),
    ]  # fmt: skip
    other = "u" if variable != "u" else "v"
    wrong = [
        ("variable", text.replace(variable, other)), ("constant", f"{variable}^2{total:+d}{variable}{product + 1:+d}"), ("slope", f"{variable}^2{total + 1:+d}{variable}{product:+d}"),
        ("power", f"{variable}^3{total:+d}{variable}{product:+d}"), ("sign", f"-({text})"), ("factors", f"({variable}{-a:+d})({variable}{b:+d})"), ("equation", f"{text}=0"), ("double", f"2({text})"),
        ("false identity", f"({variable}{a:+d})({variable}{b:+d})={variable}^2{total:+d}{variable}{product + 1:+d}"), ("number", str(product)), ("prime", text.replace(variable, f"{variable}'")), ("index", text.replace(variable, f"{variable}_1")),
        ("or", rf"{text} \text{{ or }} {variable}"), ("list", f"{text}, {variable}"), ("tiny", f"{text}+10^{{-30}}"),
    ]  # fmt: skip
    return Gold("polynomial", text, same, wrong)


def symbols(rng: random.Random) -> Gold:
    first, second = rng.sample(
        ["E_{1}", "E_{2}", r"\gamma", r"\alpha", "x_1", "v_{max}", r"m_{\text{e}}", "a", "b", "k_n"], 2
    )
    n = rng.randint(2, 9)
    gold, same, wrong = rng.choice(
        [
            (rf"{first}+{n}{second}", [rf"{n}{second}+{first}", rf"{first}+{n}\cdot {second}", rf"S={first}+{n}{second}"], [rf"{first}-{n}{second}", rf"{second}+{n}{first}", rf"{first}+{n + 1}{second}", f"{first}", rf"{first}'+{n}{second}"]),
            (rf"\frac{{{first}}}{{{second}}}", [rf"{first}/{second}", rf"{first}\cdot {second}^{{-1}}"], [rf"\frac{{{second}}}{{{first}}}", rf"{first}\cdot {second}", f"-{first}/{second}", rf"\frac{{{first}}}{{{second}^2}}"]),
            (rf"({first}+{second})^T", [rf"({second}+{first})^{{T}}"], [rf"{first}+{second}", rf"({first}+{second})^2", rf"({first}-{second})^T"]),
            (rf"A^T B+{n}C", [rf"A^{{T}}B+{n}C", rf"{n}C+A^\top B"], [rf"AB+{n}C", rf"AB^T+{n}C", rf"BA^T+{n}C", rf"A^T B+{n + 1}C"]),
            (rf"\frac{{d{'y'}}}{{dx}}={n}x", [rf"y'={n}x", rf"\frac{{dy}}{{dx}}=x\cdot {n}"], [rf"\frac{{dy}}{{dx}}={n + 1}x", rf"y={n}x", "x=0", rf"\frac{{dx}}{{dy}}={n}x", rf"\frac{{dy}}{{dt}}={n}x", rf"y''={n}x"]),
            (rf"\vec{{a}}\times\vec{{b}}+{n}\vec{{c}}", [rf"{n}\vec{{c}}+\vec{{a}}\times\vec{{b}}", rf"\mathbf{{a}}\times\mathbf{{b}}+{n}\mathbf{{c}}"], [rf"\vec{{b}}\times\vec{{a}}+{n}\vec{{c}}", rf"\vec{{a}}\cdot\vec{{b}}+{n}\vec{{c}}"]),
            (rf"f({n})+x", [rf"x+f({n})"], [rf"f({n + 1})+x", rf"{n}f+x", "x", rf"g({n})+x"]),
            (rf"x'+{n}", [rf"{n}+x'"], [rf"x+{n}", rf"x''+{n}", rf"y'+{n}"]),
            (rf"\frac{{\partial f}}{{\partial x}}+{n}", [rf"{n}+\frac{{\partial f}}{{\partial x}}"], [rf"\frac{{\partial f}}{{\partial y}}+{n}", rf"\frac{{df}}{{dx}}+{n + 1}", f"{n}"]),
        ]
    )  # fmt: skip
    return Gold(
        "symbols", gold, [("plain", gold), *(("form", text) for text in same)], [("value", text) for text in wrong]
    )


def interval(rng: random.Random) -> Gold:
    low = rng.randint(-9, 5)
    high = low + rng.randint(1, 9)
    left, right = rng.choice(["(", "["]), rng.choice([")", "]"])
    first, last = ("<" if left == "(" else r"\le"), ("<" if right == ")" else r"\le")
    text = f"{left}{low},{high}{right}"
    if (left, right) == ("(", ")"):
        return interval(rng)
    same = [
        ("plain", text), ("relation", f"{low} {first} x {last} {high}"), ("turned", f"{high} {'>' if last == '<' else chr(92) + 'ge'} x {'>' if first == '<' else chr(92) + 'ge'} {low}"),
        ("member", rf"x\in {text}"), ("set", rf"\{{x \mid {low} {first} x {last} {high}\}}"), ("left", rf"\left{left}{low},{high}\right{right}"), ("and", rf"x {'>' if left == '(' else chr(92) + 'ge'} {low} \text{{ and }} x {last} {high}"),
        ("decimal", f"{left}{low}.0,{high}{right}"), ("union", rf"{left}{low},{high})\cup({low},{high}{right}"),
    ]  # fmt: skip
    flip = {"(": "[", "[": "(", ")": "]", "]": ")"}
    wrong = [
        ("left end", f"{flip[left]}{low},{high}{right}"), ("right end", f"{left}{low},{high}{flip[right]}"), ("low", f"{left}{low - 1},{high}{right}"), ("high", f"{left}{low},{high + 1}{right}"), ("order", f"{left}{high},{low}{right}"),
        ("set", rf"\{{{low},{high}\}}"), ("or", rf"x {'>' if left == '(' else chr(92) + 'ge'} {low} \text{{ or }} x {last} {high}"), ("lor", rf"x>{low} \lor x<{high}"), ("number", str(low)), ("all", r"\mathbb{R}"), ("empty", r"\emptyset"),
        ("hole", rf"{left}{low},{high}{right}\setminus\{{{low}\}}" if left == "[" else f"{left}{low},{high - 1}{right}"), ("tiny", rf"{left}{low},{high}+10^{{-30}}{right}"), ("infinite", rf"{left}{low},\infty)"), ("two", f"{text}, {left}{low},{high + 2}{right}"),
    ]  # fmt: skip
    return Gold("interval", text, same, wrong)


def region(rng: random.Random) -> Gold:
    edge = rng.randint(1, 12)
    text = rf"(-\infty,-{edge})\cup({edge},\infty)"
    same = [
        ("plain", text), ("or", rf"x<-{edge} \text{{ or }} x>{edge}"), ("absolute", f"|x|>{edge}"), ("square", f"x^2>{edge * edge}"), ("order", rf"({edge},\infty)\cup(-\infty,-{edge})"), ("without", rf"\mathbb{{R}}\setminus[-{edge},{edge}]"),
        ("lor", rf"x>{edge} \lor x<-{edge}"), ("builder", rf"\{{x \mid |x|>{edge}\}}"), ("comma", f"x<-{edge}, x>{edge}"),
    ]  # fmt: skip
    wrong = [
        ("closed", rf"(-\infty,-{edge}]\cup[{edge},\infty)"), ("one side", rf"({edge},\infty)"), ("inside", f"(-{edge},{edge})"), ("edge", rf"(-\infty,-{edge})\cup({edge + 1},\infty)"), ("le", f"|x|<{edge}"), ("all", r"\mathbb{R}"),
        ("square", f"x^2>{edge * edge + 1}"), ("ge", rf"x^2\ge {edge * edge}"), ("intersection", rf"(-\infty,-{edge})\cap({edge},\infty)"), ("number", str(edge)), ("ne", rf"x\ne {edge}"),
    ]  # fmt: skip
    return Gold("region", text, same, wrong)


def collection(rng: random.Random) -> Gold:
    items = rng.sample(range(-20, 40), rng.randint(2, 4))
    shuffled = rng.sample(items, len(items))
    text = ", ".join(map(str, items))
    changed = [*items[:-1], items[-1] + 41]
    braces = rng.random() < 0.5
    gold = rf"\{{{text}\}}" if braces else text
    listed = ", ".join(map(str, shuffled))
    same = [
        ("plain", gold), ("order", listed), ("set", rf"\{{{listed}\}}"), ("and", rf"{', '.join(map(str, shuffled[:-1]))} \text{{ and }} {shuffled[-1]}"), ("named", ", ".join(f"x={item}" for item in shuffled)), ("or", r" \text{ or } ".join(f"x={item}" for item in shuffled)),
        ("member", rf"x\in\{{{listed}\}}"), ("fractions", ", ".join(rf"\frac{{{2 * item}}}{{2}}" for item in shuffled)), ("semicolons", "; ".join(map(str, shuffled))),
    ]  # fmt: skip
    wrong = [
        ("one", str(items[0])), ("missing", ", ".join(map(str, items[:-1]))), ("more", f"{text}, 99"), ("changed", ", ".join(map(str, changed))), ("sign", ", ".join(str(-item) for item in items) if set(items) != {-item for item in items} else "1000"),
        ("sum", "+".join(map(str, items))), ("everything", ", ".join(map(str, range(-20, 44)))), ("ellipsis", rf"{items[0]},\ldots,{items[-1]}"), ("tuple of set", rf"(\{{{text}\}}, 1)"), ("all", r"\mathbb{Z}"), ("interval", f"[{min(items)},{max(items)}]"),
    ]  # fmt: skip
    return Gold("collection", gold, same, wrong)


def tuple_(rng: random.Random) -> Gold:
    items = rng.sample(range(-9, 20), rng.randint(2, 3))
    text = f"({','.join(map(str, items))})"
    names = "xyz"[: len(items)]
    named = ", ".join(f"{name}={item}" for name, item in zip(names, items, strict=True))
    same = [
        ("plain", text), ("left", rf"\left({', '.join(map(str, items))}\right)"), ("named", f"({','.join(names)})={text}"), ("values", named), ("fractions", f"({','.join(rf'{chr(92)}frac{{{3 * item}}}{{3}}' for item in items)})"),
        ("column", rf"\begin{{pmatrix}}{chr(92) * 2}".replace("}", "}", 1).replace(chr(92) * 2, "") + (chr(92) * 2).join(map(str, items)) + r"\end{pmatrix}"), ("angle", rf"\langle {','.join(map(str, items))}\rangle"), ("and", r" \text{ and } ".join(f"{name}={item}" for name, item in zip(names, items, strict=True))),
        ("label", rf"\text{{the point }}{text}"),
    ]  # fmt: skip
    wrong = [
        ("order", f"({','.join(map(str, items[::-1]))})"), ("changed", f"({','.join(map(str, [items[0] + 1, *items[1:]]))})"), ("sign", f"({','.join(map(str, [-items[0] or 77, *items[1:]]))})"), ("shorter", f"({','.join(map(str, items[:-1]))})"),
        ("longer", f"({','.join(map(str, items))},0)"), ("set", rf"\{{{','.join(map(str, items))}\}}"), ("names exchanged", ", ".join(f"{name}={item}" for name, item in zip(names, items[::-1], strict=True))), ("one", str(items[0])), ("two points", f"{text}, (0,{items[-1] + 1})"), ("or", rf"{text} \text{{ or }} (1,{items[-1] + 1})"),
    ]  # fmt: skip
    return Gold("tuple", text, same, wrong)


def matrix(rng: random.Random) -> Gold:
    a, b, c, d = rng.sample(range(-9, 10), 4)
    text = rf"\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"
    same = [
        ("plain", text), ("brackets", rf"\begin{{bmatrix}}{a}&{b}\\{c}&{d}\end{{bmatrix}}"), ("nested", f"[[{a},{b}],[{c},{d}]]"), ("factor", rf"2\begin{{pmatrix}}{a}/2&{b}/2\\{c}/2&{d}/2\end{{pmatrix}}"), ("array", rf"\left(\begin{{array}}{{cc}}{a}&{b}\\{c}&{d}\end{{array}}\right)"),
        ("sum", rf"\begin{{pmatrix}}{a - 1}&{b}\\{c}&{d}\end{{pmatrix}}+\begin{{pmatrix}}1&0\\0&0\end{{pmatrix}}"), ("named", rf"A=\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"), ("transposed", rf"\begin{{pmatrix}}{a}&{c}\\{b}&{d}\end{{pmatrix}}^T"),
    ]  # fmt: skip
    wrong = [
        ("entry", rf"\begin{{pmatrix}}{a + 1}&{b}\\{c}&{d}\end{{pmatrix}}"), ("transposed", rf"\begin{{pmatrix}}{a}&{c}\\{b}&{d}\end{{pmatrix}}"), ("rows", rf"\begin{{pmatrix}}{c}&{d}\\{a}&{b}\end{{pmatrix}}"), ("flat", rf"\begin{{pmatrix}}{a}&{b}&{c}&{d}\end{{pmatrix}}"), ("determinant", rf"\begin{{vmatrix}}{a}&{b}\\{c}&{d}\end{{vmatrix}}"),
        ("factor", rf"2\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"), ("sign", rf"-\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"), ("nested", f"[[{a},{c}],[{b},{d}]]"), ("numbers", f"{a},{b},{c},{d}"),
    ]  # fmt: skip
    return Gold("matrix", text, same, wrong)


def quantity(rng: random.Random) -> Gold:
    value = rng.randint(2, 400)
    unit, spellings, others = rng.choice(
        [
            (r"\text{ cm}", [" cm", r"\,\mathrm{cm}", r"\text{ centimeters}", "cm"], [r"\text{ m}", r"\text{ kg}", r"\text{ cm}^2", r"\text{ mm}", r"\text{ seconds}"]),
            (r"\mathrm{~m} / \mathrm{s}", [r"\text{ m/s}", r"\text{ meters per second}", " m/s"], [r"\text{ m}", r"\text{ km/h}", r"\text{ m/s}^2", r"\text{ s/m}"]),
            (r"\mathrm{~N}", [r"\text{ N}", r"\text{ newtons}"], [r"\text{ J}", r"\text{ kN}", r"\text{ m}"]),
            (" dogs", [r"\text{ dogs}", " (dogs)", " dogs"], [r"\text{ cats}", r"\text{ dollars}", r"\text{ or more}"]),
            (r"\text{ hours}", [" hours", r"\text{ hrs}", r"\text{ h}"], [r"\text{ minutes}", r"\text{ days}", r"\text{ hours}^2"]),
            (r"^\circ", [r"^{\circ}", "°", " degrees", r"\text{ degrees}"], [r"\text{ radians}", r"\text{ minutes}", r"^\circ\text{C}"]),
            (r"\text{ square units}", [r"\text{ units}^2", r"\text{ sq. units}"], [r"\text{ cubic units}", r"\text{ units}"]),
            (r"\mathrm{~m} / \mathrm{s}^{2}", [r"\text{ m/s}^2", " m/s^2"], [r"\text{ m/s}", r"\text{ m}"]),
        ]
    )  # fmt: skip
    text = f"{value}{unit}"
    same = [
        ("plain", text),
        ("bare", str(value)),
        ("named", f"x={text}"),
        *(("spelling", f"{value}{spelling}") for spelling in spellings),
    ]
    wrong = [("unit", f"{value}{other}") for other in others] + [
        ("value", f"{value + 1}{unit}"),
        ("sign", f"-{text}"),
        ("bare value", str(value + 1)),
        ("named unit", f"x={value}{others[0]}"),
    ]
    return Gold("quantity", text, same, wrong)


def converted(rng: random.Random) -> Gold:
    hours, minutes = rng.randint(1, 9), rng.randint(1, 59)
    gold, same, wrong = rng.choice(
        [
            (rf"{hours}\text{{ hours}}", [rf"{60 * hours}\text{{ minutes}}", rf"{3600 * hours}\text{{ s}}"], [rf"{60 * hours}", rf"{hours}\text{{ minutes}}", rf"{60 * hours + 1}\text{{ minutes}}"]),
            (rf"{hours}\text{{ ft }}{minutes % 11 + 1}\text{{ in}}", [rf"{12 * hours + minutes % 11 + 1}\text{{ in}}"], [rf"{hours}\text{{ ft}}", rf"{12 * hours + minutes % 11 + 2}\text{{ in}}", rf"{hours + minutes % 11 + 1}\text{{ ft}}"]),
            (rf"{hours}^\circ {minutes}'", [rf"{hours}^\circ {minutes}'", rf"\left({hours}+\frac{{{minutes}}}{{60}}\right)^\circ"], [str(hours + minutes), rf"{hours}^\circ", rf"{hours}^\circ {minutes + 1}'", str(hours)]),
            (rf"\text{{{hours}:{minutes:02d} PM}}", [f"{hours}:{minutes:02d} PM", rf"\text{{{hours}:{minutes:02d} p.m.}}", rf"{hours}:{minutes:02d}\text{{ pm}}"], [rf"\text{{{hours}:{minutes:02d} AM}}", rf"\text{{{hours}:{(minutes + 1) % 60:02d} PM}}", f"{hours}/{minutes}", rf"\text{{{hours % 9 + 1}:{minutes:02d} PM}}"]),
            (rf"\${hours}.{minutes:02d}", [f"{hours}.{minutes:02d}", f"{hours}.{minutes:02d} dollars", rf"{100 * hours + minutes}\text{{ cents}}"], [rf"\${hours}.{minutes + 1:02d}", rf"{hours}.{minutes:02d}\text{{ cents}}", rf"{hours}.{minutes:02d}\text{{ euros}}", rf"-\${hours}.{minutes:02d}"]),
            (rf"x={hours}\text{{ cm}}", [rf"x={hours}", rf"{hours}\text{{ cm}}", rf"x={10 * hours}\text{{ mm}}"], [rf"x={hours}\text{{ m}}", rf"y={hours}\text{{ cm}}", rf"x={hours + 1}\text{{ cm}}"]),
        ]
    )  # fmt: skip
    return Gold(
        "converted", gold, [("plain", gold), *(("form", text) for text in same)], [("value", text) for text in wrong]
    )


def equation(rng: random.Random) -> Gold:
    slope, shift = rng.randint(2, 9), rng.randint(1, 9)
    text = f"y={slope}x+{shift}"
    same = [
        ("plain", text), ("sides", f"{slope}x+{shift}=y"), ("zero", f"{slope}x-y+{shift}=0"), ("multiple", f"2y={2 * slope}x+{2 * shift}"), ("negative", f"-y=-{slope}x-{shift}"), ("moved", f"y-{shift}={slope}x"), ("divided", rf"x=\frac{{y-{shift}}}{{{slope}}}"),
    ]  # fmt: skip
    wrong = [
        ("slope", f"y={slope + 1}x+{shift}"), ("shift", f"y={slope}x-{shift}"), ("relation", f"y<{slope}x+{shift}"), ("ge", rf"y\ge {slope}x+{shift}"), ("names", f"x={slope}y+{shift}"), ("number", str(shift)), ("other", f"z={slope}x+{shift}"), ("ne", rf"y\ne {slope}x+{shift}"), ("trivial", "0=0"), ("identity", f"{slope}x+{shift}={slope}x+{shift}"),
        ("chain", f"y={slope}x+{shift}={slope}x"), ("prime", f"y'={slope}x+{shift}"), ("square", f"y^2=({slope}x+{shift})^2"), ("product", f"x(y-{slope}x-{shift})=0"),
    ]  # fmt: skip
    return Gold("equation", text, same, wrong)


def inequality(rng: random.Random) -> Gold:
    bound = rng.randint(-20, 20)
    sign = rng.choice(["<", ">", r"\le", r"\ge"])
    flipped = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
    loose = {"<": r"\le", ">": r"\ge", r"\le": "<", r"\ge": ">"}
    text = f"x {sign} {bound}"
    low = {
        "<": rf"(-\infty,{bound})",
        r"\le": rf"(-\infty,{bound}]",
        ">": rf"({bound},\infty)",
        r"\ge": rf"[{bound},\infty)",
    }
    same = [
        ("plain", text),
        ("turned", f"{bound} {flipped[sign]} x"),
        ("interval", low[sign]),
        ("double", f"2x {sign} {2 * bound}"),
        ("set", rf"\{{x \mid x {sign} {bound}\}}"),
        ("negative", f"-x {flipped[sign]} {-bound}"),
    ]
    wrong = [
        ("sign", f"x {flipped[sign]} {bound}"),
        ("edge", f"x {loose[sign]} {bound}"),
        ("bound", f"x {sign} {bound + 1}"),
        ("equal", f"x = {bound}"),
        ("name", f"y {sign} {bound}"),
        ("interval", low[loose[sign]]),
        ("bare", str(bound)),
        ("ne", rf"x\ne {bound}"),
        ("hedge", rf"x {sign} {bound} \text{{ or }} x {flipped[sign]} {bound}"),
        ("negative", f"-x {sign} {-bound}"),
    ]
    if bound == 0:
        wrong = [pair for pair in wrong if pair[0] != "bare"]
    return Gold("inequality", text, same, wrong)


def ratio(rng: random.Random) -> Gold:
    parts = rng.sample(range(2, 12), 3)
    text = ":".join(map(str, parts))
    scale = rng.randint(2, 5)
    a, b, c = parts
    same = [
        ("plain", text),
        ("scaled", ":".join(str(scale * part) for part in parts)),
        ("spaces", " : ".join(map(str, parts))),
        ("fractions", ":".join(rf"\frac{{{part}}}{{{scale}}}" for part in parts)),
    ]
    wrong = [
        ("two", f"{a}:{b * c}"),
        ("order", f"{b}:{a}:{c}"),
        ("changed", f"{a}:{b}:{c + 1}"),
        ("first two", f"{a}:{b}"),
        ("number", f"{a}/{b * c}"),
        ("tuple", f"({a},{b},{c})"),
        ("list", f"{a},{b},{c}"),
    ]
    return Gold("ratio", text, same, wrong)


def congruence(rng: random.Random) -> Gold:
    modulus = rng.randint(3, 19)
    rest = rng.randint(1, modulus - 1)
    text = rf"x\equiv {rest}\pmod{{{modulus}}}"
    same = [
        ("plain", text),
        ("representative", rf"x\equiv {rest + modulus}\pmod{{{modulus}}}"),
        ("mod", rf"x \equiv {rest} \mod {modulus}"),
        ("brackets", rf"x\equiv {rest} (\bmod {modulus})"),
    ]
    wrong = [
        ("modulus", rf"x\equiv {rest}\pmod{{{modulus + 1}}}"),
        ("rest", rf"x\equiv {rest + 1}\pmod{{{modulus}}}"),
        ("name", rf"y\equiv {rest}\pmod{{{modulus}}}"),
        ("negative modulus", rf"{rest}\mod -1"),
        ("sign", rf"x\equiv {rest + modulus + 1}\pmod{{{modulus}}}"),
    ]
    return Gold("congruence", text, same, wrong)


def numeral(rng: random.Random) -> Gold:
    base = rng.choice([2, 3, 5, 8])
    digits = "".join(str(rng.randrange(base)) for _ in range(5))
    digits = f"1{digits}"
    text = f"{digits}_{base}"
    same = [
        ("plain", text),
        ("braces", f"{digits}_{{{base}}}"),
        ("parentheses", f"({digits})_{base}"),
        ("base in parentheses", f"{digits}_{{({base})}}"),
        ("bare", digits),
    ]
    wrong = [
        ("base", f"{digits}_{{{base + 1}}}"),
        ("digit", f"{digits[:-1]}{(int(digits[-1]) + 1) % base}_{base}"),
        ("value", str(int(digits, base))),
        ("longer", f"{digits}0_{base}"),
        ("sign", f"-{digits}_{base}"),
    ]
    return Gold("numeral", text, same, wrong)


def family(rng: random.Random) -> Gold:
    n = rng.randint(2, 9)
    gold, same, wrong = rng.choice(
        [
            (rf"x=\frac{{k\pi}}{{{n}}},k\in\mathbb{{Z}}", [rf"x=\frac{{n\pi}}{{{n}}},n\in\mathbb{{Z}}", rf"x=\frac{{\pi}}{{{n}}}k, k\in Z"], [rf"x=\frac{{k\pi}}{{{n + 1}}},k\in\mathbb{{Z}}", rf"x=\frac{{\pi}}{{{n}}}", rf"y=\frac{{k\pi}}{{{n}}},k\in\mathbb{{Z}}", rf"x=\frac{{k\pi}}{{{n}}},k\in\mathbb{{N}}"]),
            (rf"{n}^{{m-1}}\text{{ for }}m\ge 2", [rf"{n}^{{m-1}}", rf"\frac{{{n}^m}}{{{n}}}"], [rf"{n}^{{m}}", rf"{n}^{{m-1}}\text{{ for }}m\ge 3", f"{n}", rf"{n + 1}^{{m-1}}"]),
            (rf"\{{x\mid x={n}k,k\in\mathbb{{Z}}\}}", [rf"\{{{n}k\mid k\in\mathbb{{Z}}\}}", rf"\{{x\mid x={n}m,m\in\mathbb{{Z}}\}}"], [rf"\{{x\mid x={n + 1}k,k\in\mathbb{{Z}}\}}", rf"\{{{n}\}}", r"\mathbb{Z}"]),
        ]
    )  # fmt: skip
    return Gold(
        "family", gold, [("plain", gold), *(("form", text) for text in same)], [("value", text) for text in wrong]
    )


def words(rng: random.Random) -> Gold:
    gold, same, wrong = rng.choice(
        [
            (r"\text{Monday}", ["Monday", r"\text{monday}", r"\textbf{Monday}"], [r"\text{Tuesday}", r"\text{not Monday}", r"\text{Monday or Tuesday}", "1"]),
            (r"\text{yes}", ["Yes", r"\text{Yes}", "yes."], [r"\text{no}", r"\text{yes and no}", r"\text{not yes}", "1"]),
            ("XIV", [r"\text{XIV}", "XIV"], ["XVI", "VIX", "XI", "14x"]),
            ("cat", [r"\text{cat}", "cat"], ["act", "tac", "cab", "dog"]),
            (r"\text{page 1.5}", [r"\text{page 1.5}", r"\text{Page 1.5}"], [r"\text{page 15}", r"\text{page -1.5}", r"\text{page 1.6}", "15"]),
            (r"\text{between -5 and 5}", [r"\text{between -5 and 5}"], [r"\text{between 5 and 5}", r"\text{between -5 and 6}", "5"]),
            (r"\text{(C)}", ["C", "(C)", r"\textbf{(C)}", "(C) 7", "Option C"], ["B", "(D)", "A, C", r"\text{C or D}", "C+D", "not C"]),
            (r"\textbf{(B)}\ 12", ["B", "12", "(B) 12", r"\textbf{(B)}\ 12"], ["(B) 13", "A", "(A) 12", "13", r"\text{(B) or (C)}"]),
            (r"\text{Alice and Bob}", [r"\text{Bob and Alice}", r"\text{Alice and Bob}"], [r"\text{Alice}", r"\text{Alice and Carol}"]),
            (r"\text{(A), (C)}", ["A, C", "C, A", r"\text{(A), (C)}"], ["A", "A, B, C", "A, B", "B, C"]),
        ]
    )  # fmt: skip
    return Gold(
        "words", gold, [("plain", gold), *(("form", text) for text in same)], [("value", text) for text in wrong]
    )


def identity(rng: random.Random) -> Gold:
    a, b = rng.randint(2, 30), rng.randint(2, 30)
    gold, same, wrong = rng.choice(
        [
            (f"{a}+{b}={a + b}", [str(a + b), f"{b}+{a}={a + b}"], [str(a + b + 1), f"{a}+{b}={a + b + 1}", "0=0", "1=1"]),
            (rf"(-{a}x)^3=-{a**3}x^3", [f"-{a**3}x^3", rf"(-{a}x)^3=-{a**3}x^{{3}}"], [f"(-{a}x)^3=-{a**3}x^4", f"-{a**3}x^4", f"{a**3}x^3", "x=x", f"(-{a}x)^3={a**3}x^3"]),
            (f"(x+{a})^2=x^2+{2 * a}x+{a * a}", [f"x^2+{2 * a}x+{a * a}", f"(x+{a})^2"], [f"(x+{a})^2=x^2+{2 * a}x+{a * a + 1}", f"x^2+{a}x+{a * a}", "x+1=x+1"]),
            (rf"{a}\times\${b}=\${a * b}", [str(a * b), rf"\${a * b}"], [str(a * b + 1), rf"{a}\times\${b}=\${a * b + 1}"]),
            (rf"\sqrt{{{a * a + 1}}}\approx {(a * a + 1) ** 0.5:.3f}", [rf"\sqrt{{{a * a + 1}}}", f"{(a * a + 1) ** 0.5:.3f}"], [rf"\sqrt{{{a * a + 2}}}", f"{(a * a + 1) ** 0.5 + 0.01:.3f}", rf"{a}"]),
        ]
    )  # fmt: skip
    return Gold(
        "identity", gold, [("plain", gold), *(("form", text) for text in same)], [("value", text) for text in wrong]
    )


def complex_(rng: random.Random) -> Gold:
    real, imaginary = rng.randint(1, 9), rng.randint(2, 9)
    text = f"{real}+{imaginary}i"
    same = [
        ("plain", text),
        ("order", f"{imaginary}i+{real}"),
        ("named", f"z={text}"),
        ("roman", rf"{real}+{imaginary}\mathrm{{i}}"),
        ("product", f"-i(-{imaginary}+{real}i)"),
        ("root", rf"{real}+{imaginary}\sqrt{{-1}}"),
    ]
    wrong = [
        ("conjugate", f"{real}-{imaginary}i"),
        ("exchanged", f"{imaginary}+{real}i" if real != imaginary else f"{real}i"),
        ("pair", f"({real},{imaginary})"),
        ("sum", f"{real + imaginary}i"),
        ("real", str(real)),
        ("modulus", rf"\sqrt{{{real**2 + imaginary**2}}}"),
        ("pm", rf"{real}\pm {imaginary}i"),
        ("letter", f"{real}+{imaginary}j"),
    ]
    return Gold("complex", text, same, wrong)


GOLDS: list[Callable[[random.Random], Gold]] = [
    integer, large, tiny, fraction, decimal, percent, radical, constant, polynomial, symbols, interval, region, collection, tuple_,
    matrix, quantity, converted, equation, inequality, ratio, congruence, numeral, family, words, identity, complex_,
]  # fmt: skip
