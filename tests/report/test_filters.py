import pytest

from astro_factory.core.errors import UserError
from astro_factory.report.filters import matching, parse_filter
from astro_factory.report.rows import row_keys
from tests.report.workspace import built, make_store

KEYS = {"arm": str, "verdict": str, "backtracks": int, "truncated": bool}
ROWS = [
    {"arm": "a", "verdict": "correct", "backtracks": 0, "truncated": False},
    {"arm": "a", "verdict": "incorrect", "backtracks": 3, "truncated": True},
    {"arm": "b", "verdict": "correct", "backtracks": None, "truncated": False},
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [0, 1, 2]),
        ("arm=a", [0, 1]),
        (" arm = a , backtracks > 2", [1]),
        ("arm!=a", [2]),
        ("backtracks>=0", [0, 1]),
        ("backtracks=3.0", [1]),
        ("backtracks!=3", [0, 2]),
        ("truncated=yes", [1]),
        ("truncated=no,verdict=correct", [0, 2]),
    ],
)
def test_filter(text, found):
    assert matching(ROWS, parse_filter(text, KEYS)) == [ROWS[index] for index in found]


@pytest.mark.parametrize("text", ["arm:a", "amr=a", "arm>2", "backtracks>many", "backtracks=", "truncated>1"])
def test_what_is_no_filter(text, golden):
    with pytest.raises(UserError, match="E165") as error:
        parse_filter(text, KEYS)
    golden(str(error.value))


def test_an_output_without_rows(tmp_path, golden):
    make_store(tmp_path)
    with pytest.raises(UserError, match="E167") as error:
        row_keys(built(tmp_path).stages["astro_sft"])
    golden(str(error.value))
