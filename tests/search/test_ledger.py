import subprocess
import sys

from astro_factory.search.ledger import Ledger
from astro_factory.store.items import StoredItems
from tests.search.toy import letters

PROBLEMS = {key * 64: letters("ab", key) for key in "abcd"}
OTHER = """
import sys
from pathlib import Path
from astro_factory.store.items import StoredItems
items = StoredItems(Path(sys.argv[1]))
print(items.claim("b" * 64), flush=True)
sys.stdin.readline()
if sys.argv[2] == "make":
    items.put("b" * 64, b"other")
"""


def keys(names: str) -> list[str]:
    return [name * 64 for name in names]


def test_missing_trees_are_taken_in_order(tmp_path):
    items = StoredItems(tmp_path / "items")
    items.put("c" * 64, b"tree")
    ledger = Ledger(items, PROBLEMS)
    assert (ledger.total, ledger.existing, ledger.done) == (4, 1, False)
    assert list(ledger.take(2)) == keys("ab") and ledger.take(9) == {"d" * 64: PROBLEMS["d" * 64]}
    assert ledger.take(9) == {}
    ledger.put_back(keys("bd"))
    assert list(ledger.take(1)) == keys("b") and list(ledger.take(1)) == keys("d")
    for key in keys("abd"):
        ledger.store(key, b"tree")
    assert ledger.done and (ledger.existing, ledger.completed) == (1, 3)
    assert Ledger(items, PROBLEMS).done


def test_trees_of_another_process_are_awaited_and_taken_over_when_it_dies(tmp_path):
    for end in ("make", "die"):
        items = StoredItems(tmp_path / end / "items")
        command = [sys.executable, "-c", OTHER, str(items.root), end]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout.readline() == "True\n"
            ledger = Ledger(items, PROBLEMS)
            assert list(ledger.take(9)) == keys("acd")
            assert ledger.take(9) == {} and not ledger.done
            other.communicate("\n")
        assert list(ledger.take(9)) == ([] if end == "make" else keys("b"))
        assert ledger.existing == (end == "make")
