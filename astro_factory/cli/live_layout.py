"""Which columns the live table has room for, and how wide they are."""

_GAP = 1
_NAME, _AMOUNT, _CLOCK = (12, 50), (12, 30), 8
"""Least and greatest width of names and amounts; the width of a duration."""
_BAR, _FIGURES = (10, 24), 14


def layout(width: int, longest_name: int) -> dict[str, int]:
    """Column to width, in order, for a terminal of at least 60 columns.

    Name, amount and elapsed time are always shown. Room beyond them goes to the remaining time, then the bar, then the
    figures.
    """
    name = max(_NAME[0], min(longest_name, _NAME[1], width // 4 if width < 160 else width // 3))
    amount = _AMOUNT[0] if width < 50 else min(_AMOUNT[1], max(18, width // 6))
    room = width - name - amount - _CLOCK - 2 * _GAP
    widths = {"name": name, "amount": amount, "elapsed": _CLOCK}
    if room >= _CLOCK + _GAP:
        widths["left"] = _CLOCK
        room -= _CLOCK + _GAP
    if room >= _BAR[0] + _GAP:
        widths["bar"] = min(_BAR[1], room - _GAP if room < _BAR[1] + _FIGURES + 2 * _GAP else _BAR[1])
        room -= widths["bar"] + _GAP
    if room >= _FIGURES + _GAP:
        widths["figures"] = room - _GAP
    order = ("name", "bar", "amount", "figures", "elapsed", "left")
    return {column: widths[column] for column in order if column in widths}


def shorten(text: str, width: int) -> str:
    """A name cut at its start, because stages of a sweep differ at the end."""
    return text if len(text) <= width else f"…{text[1 - width :]}"
