import pytest

from astro_factory.core.errors import UserError
from astro_factory.verifiers import get_verifier, verifier_code, verifier_names
from astro_factory.verifiers.countdown import Countdown

PLACE = "astro_factory.verifiers.countdown"
BUILT_IN = ("countdown", "math", "choice", "reasoning_gym")


def test_finds_a_verifier_by_its_name_once():
    assert isinstance(get_verifier("countdown"), Countdown)
    assert get_verifier("countdown") is get_verifier("countdown")
    assert {"countdown", "math", "reasoning_gym"} <= set(verifier_names())


def test_keys_hold_the_present_version_of_a_built_in_verifier_that_moved():
    versions = {name: verifier_code(name) for name in BUILT_IN}
    assert {name for name, version in versions.items() if version} == {"math"}
    assert versions["math"] == str(get_verifier("math").version)


def test_takes_a_class_of_the_users():
    assert isinstance(get_verifier(f"python:{PLACE}:Countdown"), Countdown)


def test_takes_a_name_from_an_installed_package(tmp_path, monkeypatch):
    info = tmp_path / "guest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[astro_factory.verifiers]\nguest = {PLACE}:Countdown\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "guest" in verifier_names()
    assert isinstance(get_verifier("guest"), Countdown)


WRONG = {
    "misspelled": ("cuontdown", "E401"),
    "unknown": ("xyz", "E401"),
    "no module": ("python:no_such_place:X", "E402"),
    "no class": (f"python:{PLACE}:Nothing", "E402"),
    "empty": ("python:", "E402"),
    "abstract": ("python:astro_factory.verifiers.base:Verifier", "E402"),
    "not a verifier": (f"python:{PLACE}:evaluate", "E402"),
}


@pytest.mark.parametrize(("name", "code"), WRONG.values(), ids=WRONG)
def test_reports_what_is_wrong_with_a_name(name, code, golden):
    with pytest.raises(UserError, match=code) as error:
        get_verifier(name)
    golden(str(error.value))
