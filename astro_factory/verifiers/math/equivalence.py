r"""Whether an answer is right, by the forms of the gold answer and of the answer. Runs in the worker processes.

The gold answer says what is wanted: a gold `(1, 2)` is met by the pair or by the open interval, written in any way, but
by no set; a gold `x = 3` is met by `3`, and a gold `3` by `x = 3`; a gold `5 cm` is met by `5`, not by `5 m`.
docs/guide/equality.md lists what is equal, by type.
"""

from collections.abc import Callable, Sequence

from astro_factory.verifiers.math.answer_types import (
    Difference,
    Family,
    FiniteSet,
    Form,
    Intersection,
    Matrix,
    NamedSet,
    Ratio,
    Relation,
    TupleOrInterval,
    Union,
    UnorderedList,
    Value,
    Words,
)
from astro_factory.verifiers.math.equations import chain_values, named_in_order, same_relation
from astro_factory.verifiers.math.families import rename, unbound
from astro_factory.verifiers.math.quantities import expression_of, has_units, operand_of, same_value, without_units
from astro_factory.verifiers.math.real_sets import equal_regions, is_region, region_of, variables, variables_agree
from astro_factory.verifiers.math.symbolic import equal_formulas, equal_operands

_MANY = UnorderedList | FiniteSet | TupleOrInterval | Relation | Union | Intersection | Family


def same(gold: Form, answer: Form) -> bool:
    """Whether the answer is right; not symmetric only where one side names what the other leaves out."""
    if gold == answer:
        return True
    if isinstance(gold, Family) or isinstance(answer, Family):
        return _same_family(gold, answer)
    if _is_relation(gold) != _is_relation(answer):
        return _same_value_of_chain(gold, answer)
    gold, answer = _unwrapped(gold, answer)
    if isinstance(answer, UnorderedList) and not isinstance(gold, _MANY):
        distinct = _distinct(answer.items)
        return len(distinct) == 1 and same(gold, distinct[0])  # 3/5 or 0.6
    if _is_one(gold) and _is_one(answer):
        return same_value(_inner(gold), _inner(answer))
    if (found := _same_region(gold, answer)) is not None:
        return found
    for kinds, compare in _COMPARISONS:
        if isinstance(gold, kinds[0]) and isinstance(answer, kinds[1]):
            return compare(gold, answer)
    return _same_operand(gold, answer)


def _is_relation(form: Form) -> bool:
    return isinstance(form, Relation)


def _same_value_of_chain(gold: Form, answer: Form) -> bool:
    r"""One of the two is a relation, whose value is the other: `x = 3`, `1 + 1 = 2`, `\sqrt{2} \approx 1.414`."""
    relation, other = (gold, answer) if isinstance(gold, Relation) else (answer, gold)
    assert isinstance(relation, Relation)
    if isinstance(other, UnorderedList) and all(isinstance(item, Relation) for item in other.items):
        return _same_lists(gold, answer)
    values = chain_values(relation, same, totals=relation is answer)
    if values is None:
        return bool(_same_region(gold, answer))
    if isinstance(gold, Relation):
        return any(same(value, answer) for value in values.all())
    if any(same(gold, value) for value in values.exact):
        return True
    return any(_is_decimal(gold) and same(gold, value) for value in values.rounded)


def _is_decimal(form: Form) -> bool:
    return isinstance(form, Value) and form.number is not None and form.number.decimals is not None


def _same_lists(gold: Form, answer: Form) -> bool:
    """A relation between tuples against the relations of their parts: `(x, y) = (1, 2)` and `x = 1, y = 2`."""
    relation, others = (gold, answer) if isinstance(gold, Relation) else (answer, gold)
    assert isinstance(relation, Relation)
    names, values = relation.sides[0], relation.sides[-1]
    if not (isinstance(names, TupleOrInterval) and isinstance(values, TupleOrInterval)):
        return isinstance(others, UnorderedList) and bool(_same_region(gold, answer))
    if len(names.items) != len(values.items) or relation.signs != ("=",):
        return False
    pairs = UnorderedList(tuple(Relation(pair, ("=",)) for pair in zip(names.items, values.items, strict=True)))
    return same(pairs, others)


def _same_family(gold: Form, answer: Form) -> bool:
    """Answers with conditions: one that only one of them states is left out, two have to be the same."""
    if isinstance(gold, Family) and isinstance(answer, Family):
        if len(gold.parameters) == len(answer.parameters) == 1:
            answer = rename(answer, *answer.parameters, *gold.parameters)
        if gold.condition and answer.condition and not _same_conditions(gold.condition, answer.condition):
            return False
        return same(gold.body, answer.body)
    if isinstance(gold, Family):
        return same(gold.body, answer)
    assert isinstance(answer, Family)
    return not unbound(answer) and same(gold, answer.body)


def _same_conditions(gold: str, answer: str) -> bool:
    from astro_factory.verifiers.math.reader import read

    if gold == answer:
        return True
    if "Z" in (gold, answer) or "N" in (gold, answer):
        return False
    return same(read(gold), read(answer))


def _unwrapped(gold: Form, answer: Form) -> tuple[Form, Form]:
    """Both without `x =` where only one of them has it, and named values as a tuple where the gold answer is one."""
    if isinstance(gold, TupleOrInterval) and (values := named_in_order(answer, gold)):
        return gold, TupleOrInterval(gold.opening, values, gold.closing)
    if isinstance(answer, TupleOrInterval) and (values := named_in_order(gold, answer)):
        return TupleOrInterval(answer.opening, values, answer.closing), answer
    if not _all_relations(gold):
        answer = _without_names(answer)
    elif not _all_relations(answer):
        gold = _without_names(gold)
    return gold, answer


def _all_relations(form: Form) -> bool:
    return isinstance(form, Relation) or (
        isinstance(form, UnorderedList) and all(isinstance(item, Relation) for item in form.items)
    )


def _without_names(form: Form) -> Form:
    """`1, 2` for `x = 1, x = 2`."""
    if not isinstance(form, UnorderedList):
        return form
    items: list[Form] = []
    for item in form.items:
        values = chain_values(item, same) if isinstance(item, Relation) else None
        bare = values.last() if values and item is not None else item
        items.extend(bare.items if isinstance(bare, UnorderedList) else [bare])
    return UnorderedList(tuple(items), form.joined)


def _same_region(gold: Form, answer: Form) -> bool | None:
    """Whether two sets of real numbers are equal; None where one of them is none."""
    if not (is_region(gold) or is_region(answer)) or not variables_agree(gold, answer):
        return None
    if has_units(gold) != has_units(answer):
        gold, answer = without_units(gold), without_units(answer)
    ours, theirs = region_of(gold), region_of(answer)
    return None if ours is None or theirs is None else equal_regions(ours, theirs)


def _is_one(form: Form) -> bool:
    return isinstance(form, Value | Words) or (
        isinstance(form, FiniteSet) and len(form.items) == 1 and isinstance(form.items[0], Value | Words)
    )


def _inner(form: Form) -> Form:
    return form.items[0] if isinstance(form, FiniteSet) else form


def _same_in_order(gold: Sequence[Form], answer: Sequence[Form]) -> bool:
    return len(gold) == len(answer) and all(map(same, gold, answer))


def _same_in_any_order(gold: Sequence[Form], answer: Sequence[Form]) -> bool:
    """Each item of one has its own equal in the other; equality is transitive, so the first match will do."""
    left = list(answer)
    for item in gold:
        found = next((index for index, other in enumerate(left) if same(item, other)), None)
        if found is None:
            return False
        left.pop(found)
    return not left


def _distinct(items: Sequence[Form]) -> list[Form]:
    found: list[Form] = []
    for item in items:
        if not any(same(item, other) and same(other, item) for other in found):
            found.append(item)
    return found


def _same_items(gold: UnorderedList | FiniteSet, answer: UnorderedList | FiniteSet) -> bool:
    """Lists, which keep what stands twice, and sets, which do not."""
    if isinstance(gold, FiniteSet) or isinstance(answer, FiniteSet):
        return _same_in_any_order(_distinct(gold.items), _distinct(answer.items))
    joints = {gold.joined, answer.joined}
    if len(joints) > 1 and r"\lor" in joints and (len(variables(gold)) > 1 or is_region(gold)):
        return False
    return _same_in_any_order(gold.items, answer.items)


def _same_tuple(gold: TupleOrInterval, answer: TupleOrInterval) -> bool:
    brackets = (gold.opening, gold.closing) == (answer.opening, answer.closing)
    return (brackets or (_is_tuple(gold) and _is_tuple(answer))) and _same_in_order(gold.items, answer.items)


def _is_tuple(group: TupleOrInterval) -> bool:
    """Brackets of three or more items, and round or angle ones of two."""
    return (group.opening, group.closing) in (("(", ")"), ("<", ">")) or (
        (group.opening, group.closing) == ("[", "]") and len(group.items) > 2
    )


def _same_ratio(gold: Ratio, answer: Ratio) -> bool:
    ours, theirs = ([expression_of(item) for item in ratio.items] for ratio in (gold, answer))
    if len(ours) != len(theirs) or None in ours or None in theirs:
        return False
    first, other = ours[0], theirs[0]
    return all(
        equal_formulas(mine * other, its * first)
        for mine, its in zip(ours, theirs, strict=True)
        if mine is not None and its is not None and first is not None and other is not None
    )


def _same_matrix(gold: Matrix, answer: Matrix) -> bool:
    return len(gold.rows) == len(answer.rows) and all(map(_same_in_order, gold.rows, answer.rows))


def _same_vector(gold: TupleOrInterval, answer: Matrix) -> bool:
    """A tuple against a matrix of one row or one column."""
    if not _is_tuple(gold) or 1 not in (len(answer.rows), len(answer.rows[0])):
        return False
    return _same_in_order(gold.items, [cell for row in answer.rows for cell in row])


def _same_vector_turned(gold: Matrix, answer: TupleOrInterval) -> bool:
    if not _is_tuple(answer) or 1 not in (len(gold.rows), len(gold.rows[0])):
        return False
    return _same_in_order([cell for row in gold.rows for cell in row], answer.items)


def _same_operand(gold: Form, answer: Form) -> bool:
    """A matrix against an expression that gives one."""
    ours, theirs = operand_of(gold), operand_of(answer)
    return ours is not None and theirs is not None and equal_operands(ours, theirs)


def _same_relation(gold: Relation, answer: Relation) -> bool:
    return same_relation(gold, answer, same)


def _same_parts(gold: Union | Intersection, answer: Union | Intersection) -> bool:
    return type(gold) is type(answer) and _same_in_any_order(gold.parts, answer.parts)


def _same_difference(gold: Difference, answer: Difference) -> bool:
    return same(gold.whole, answer.whole) and same(gold.without, answer.without)


def _same_names(gold: NamedSet, answer: NamedSet) -> bool:
    return gold.name == answer.name


_Kinds = tuple[type | tuple[type, ...], type | tuple[type, ...]]
_COMPARISONS: list[tuple[_Kinds, Callable[..., bool]]] = [
    (((UnorderedList, FiniteSet), (UnorderedList, FiniteSet)), _same_items),
    ((TupleOrInterval, TupleOrInterval), _same_tuple),
    ((Ratio, Ratio), _same_ratio),
    ((Matrix, Matrix), _same_matrix),
    ((TupleOrInterval, Matrix), _same_vector),
    ((Matrix, TupleOrInterval), _same_vector_turned),
    ((Relation, Relation), _same_relation),
    (((Union, Intersection), (Union, Intersection)), _same_parts),
    ((Difference, Difference), _same_difference),
    ((NamedSet, NamedSet), _same_names),
]
