"""A cell's number as the sheet shows it: dates, times and percentages; other numbers plain."""

from __future__ import annotations

import datetime
import re
from xml.etree import ElementTree as ET

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_DATE = re.compile(r"[yd년]", re.IGNORECASE)
_TIME = re.compile(r"[hs]", re.IGNORECASE)
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_PERCENT = re.compile(r"(?:\.(0+))?%")

_BUILT_IN = {
    9: "0%",
    10: "0.00%",
    **dict.fromkeys((14, 15), "yyyy-mm-dd"),
    16: "d-mmm",
    17: "mmm-yy",
    **dict.fromkeys((18, 19, 20, 21, 45, 47), "h:mm:ss"),
    22: "yyyy-mm-dd h:mm",
    46: "[h]:mm:ss",
    **dict.fromkeys((*range(27, 32), 36, *range(50, 59)), "yyyy-mm-dd"),
    **dict.fromkeys(range(32, 36), "h:mm:ss"),
}
"""The formats that have a number and no text, ECMA-376 part 1, 18.8.30; those of East Asia too."""

_EPOCH = datetime.datetime(1899, 12, 30)  # noqa: DTZ001 - a sheet knows no time zone
_EPOCH_1904 = datetime.datetime(1904, 1, 1)  # noqa: DTZ001 - as above
_LAST_DAY = 2_957_003
"""The last of the year 9999, by the calendar that begins in 1904."""

_LONGEST_NUMBER = 64


class Formats:
    """The formats of a workbook's cells."""

    def __init__(self, *parts: ET.Element | None, from_1904: bool) -> None:
        self._epoch = _EPOCH_1904 if from_1904 else _EPOCH
        self._of_style: list[str] = []
        for part in parts:
            if part is not None:
                self._of_style += _formats(part)

    def shown(self, value: str, style: str) -> str:
        """Write a number as its cell shows it."""
        try:
            number = float(value)
        except ValueError:
            return value
        at = int(style) if style.isdigit() else 0
        form = self._of_style[at] if at < len(self._of_style) else ""
        return _shown(number, form, self._epoch) or _plain(number, value)


def _formats(styles: ET.Element) -> list[str]:
    forms = {str(id_): form for id_, form in _BUILT_IN.items()}
    for own in styles.iter(f"{_S}numFmt"):
        forms[own.get("numFmtId", "")] = own.get("formatCode", "")
    cells = styles.find(f"{_S}cellXfs")
    ids = [found.get("numFmtId", "") for found in (() if cells is None else cells)]
    return [_first_section(forms.get(id_, "")) for id_ in ids]


def _first_section(form: str) -> str:
    """Drop what a format writes as it is, and how it writes negative numbers."""
    return _QUOTED.sub("", form).partition(";")[0]


def _shown(number: float, form: str, epoch: datetime.datetime) -> str:
    """Write a date, a time or a percentage; empty for any other number."""
    if form.lower() in ("", "general"):
        return ""
    if found := _PERCENT.search(form):
        return f"{number * 100:.{len(found.group(1) or '')}f}%"
    if _ELAPSED.search(form):
        return _elapsed(number)
    if not (_DATE.search(form) or _TIME.search(form)) or not 0 <= number <= _LAST_DAY:
        return ""
    moment = _moment(number, epoch)
    if not _TIME.search(form):
        return moment.date().isoformat()
    time = moment.strftime("%H:%M:%S").removesuffix(":00")
    return f"{moment.date().isoformat()} {time}" if _DATE.search(form) else time


def _moment(number: float, epoch: datetime.datetime) -> datetime.datetime:
    # The sheet's calendar has a 29th of February 1900, so that days before it are one late.
    early = epoch == _EPOCH and 1 <= number < 60
    seconds = round((number + early) * 86_400)
    return epoch + datetime.timedelta(seconds=seconds)


def _elapsed(number: float) -> str:
    minutes, seconds = divmod(round(abs(number) * 86_400), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' * (number < 0)}{hours}:{minutes:02}:{seconds:02}".removesuffix(":00")


def _plain(number: float, value: str) -> str:
    """Write a number without the dust of binary fractions, as a cell of 15 digits shows it."""
    if not number.is_integer() or abs(number) >= 1e15:
        return f"{number:.15g}" if len(value) <= _LONGEST_NUMBER else value[:_LONGEST_NUMBER]
    return str(int(number))
