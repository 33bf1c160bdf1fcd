"""`check` reads the source of a user-defined verifier and imports nothing."""

import sys

import pytest

from astro_factory.verifiers.source_check import source_faults

HEAD = "from astro_factory.verifiers.base import Verifier\nprint('imported')\n"
GOOD = (
    "class Letter(Verifier):\n    def check_problem(self, problem): ...\n    def verify(self, problem, response): ...\n"
)
CASES = {
    "complete": (GOOD, None),
    "any arguments": (GOOD.replace("problem, response", "*arguments"), None),
    "inherited elsewhere": ("class Letter(Other):\n    pass\n", None),
    "made by a call": ("Letter = make()\n", None),
    "found by the module": ("def __getattr__(name): ...\n", None),
    "another base of that name": ("from other import Verifier\nclass Letter(Verifier, Other): ...\n", None),
    "decorated": ("@made\nclass Letter(Verifier):\n    pass\n", None),
    "defined in a branch": ("if True:\n    class Letter(Verifier): ...\n", None),
    "no such class": (GOOD.replace("Letter", "Lettre"), (0, "did you mean 'Lettre'?")),
    "a function": ("def Letter(problem): ...\n", (3, "derives from")),
    "not derived": ("class Letter:\n    pass\n", (3, "derive the class")),
    "abstract": ("class Letter(Verifier):\n    name = 'x'\n", (3, "check_problem(self, problem)")),
    "one missing": (GOOD.replace("verify", "judge"), (3, "verify(self, problem, response)")),
    "too few arguments": (GOOD.replace("problem, response", "response"), (5, "def verify(self, problem, response)")),
    "a keyword is required": (GOOD.replace("response)", "response, *, strict)"), (5, "def verify")),
    "syntax": ("class Letter(Verifier)\n", (3, "correct this line")),
}


@pytest.mark.parametrize("case", CASES)
def test_faults_have_a_place_and_a_remedy(case, tmp_path, monkeypatch):
    text, expected = CASES[case]
    module = f"own_verifier_{list(CASES).index(case)}"

    (tmp_path / f"{module}.py").write_text(HEAD + text)
    monkeypatch.syspath_prepend(tmp_path)
    faults = source_faults(f"python:{module}:Letter")
    assert module not in sys.modules
    if expected is None:
        assert faults == []
        return
    (fault,) = faults
    line, remedy = expected
    assert fault.code == "E402" and remedy in fault.remedy
    assert fault.place and fault.place.file.endswith(f"{module}.py") and fault.place.line == line


@pytest.mark.parametrize("name", ["math", "python:", "python:no.such.module:Class", "python:json"])
def test_what_has_no_source_to_read_has_no_fault(name):
    assert source_faults(name) == []
