"""Every regular expression of the verifiers and traces takes time linear in its input, or its input is bounded.

Each runs on families of hostile text in a process whose limit of computing time only super-linear growth reaches.
"""

import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import astro_factory.traces
import astro_factory.verifiers

BOUNDED = {
    "astro_factory.verifiers.math": 2_000,
    "astro_factory.verifiers.expressions": 400,
}
"""Modules that are given no more characters than this; the others get `LONG`."""
LONG = 60_000
CPU_S = 20
ATOMS = (
    " ", "\n", "a", "A", "1", "\\", "{", "}", "(", ")", "[", "]", "$", ",", ".", "'", "-", "=", "_", "^", "|",
    "answer ",
    "answer is ", "\\boxed{", "\\text{", "\\frac{", "1,", "1 ", "a ", "A. ", "{a}", "(a)", "1.1", "ab ", "\\in ",
    "a\n", "1\n",
    "answer\n", "<answer>", "####", " 1/2", "\\text{a}", "a_{1}", "1^{2}", "USD ", "Rs.", "no ", "integer ", "a,",
    "a ,", "1:1",
)  # fmt: skip
ENDINGS = ("", "!", "}", "\n", "x", "\\", "\0")
RUNNER = """
import importlib, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[4]), int(sys.argv[4])))
module, size = importlib.import_module(sys.argv[1]), int(sys.argv[2])
pattern = eval(sys.argv[3], {"module": module})
from tests.verifiers.test_expressions_are_linear import families
for text in families(size):
    pattern.search(text), pattern.fullmatch(text)
"""


def families(size: int):
    for atom in ATOMS:
        for ending in ENDINGS:
            yield atom * (size // len(atom)) + ending
    for opening, closing in (("{", "}"), ("(", ")"), ("\\boxed{", "}"), ("\\text{", "}")):
        count = size // (len(opening) + len(closing))
        yield opening * count + closing * count
        yield (opening + "1" + closing) * (size // (len(opening) + 2))


def modules() -> list[str]:
    found = []
    for package in (astro_factory.verifiers, astro_factory.traces):
        found += [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if not m.ispkg]
    return [name for name in found if any(patterns(name))]


def patterns(name: str) -> list[str]:
    module = importlib.import_module(name)
    return [f"module.{key}" for key, value in vars(module).items() if isinstance(value, re.Pattern)]


def size_of(name: str) -> int:
    if name.endswith("math.extraction"):
        return LONG
    return next((size for prefix, size in BOUNDED.items() if name.startswith(prefix)), LONG)


@pytest.mark.nightly
@pytest.mark.parametrize("name", modules())
def test_expressions_take_linear_time(name):
    for pattern in patterns(name):
        arguments = [name, str(size_of(name)), pattern, str(CPU_S)]
        run = subprocess.run([sys.executable, "-c", RUNNER, *arguments], capture_output=True, text=True)
        assert run.returncode == 0, f"{pattern} of {name} takes more than {CPU_S} s: {run.stderr[-300:]}"
