"""Writes the parts of README.md that are made from the code: `python -m devtools.readme`."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from coderls.repair.checkers.table import TABLE
from coderls.settings import OPTIONS, Settings
from devtools.fits import fits_table

README = Path(__file__).resolve().parent.parent / "README.md"
_SETTINGS = ("<!-- settings: made by devtools/readme.py -->", "<!-- end of settings -->")
_FITS = ("<!-- what fits: made by devtools/readme.py -->", "<!-- end of what fits -->")
_CHECKERS = ("<!-- checkers: made by devtools/readme.py -->", "<!-- end of checkers -->")


def checkers_table() -> str:
    """Every checker of repairs as a Markdown table."""
    head = "| checker | languages | gets the text by | asked | offers fixes | in an untrusted folder |"
    parse = (
        "| parse (built in: tree-sitter, CPython's parser) | all with a grammar | memory | always | no "
        "| as in a trusted one |"
    )
    rows = [
        f"| {row.kind.name} ({', '.join(f'`{name}`' for name in row.programs)}) "
        f"| {', '.join(sorted(row.kind.languages))} | {row.reads} | {row.when or 'always'} "
        f"| {'yes' if row.fixes else 'no'} | {row.untrusted or 'not used: it runs code of the project'} |"
        for row in TABLE
    ]
    tests = "| tests (`repair.test_command`) | all | shadow copy | last | no | not used: it runs code of the project |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", parse, *rows, tests])


def settings_table() -> str:
    """All options as a Markdown table."""
    rows = [f"| `{option.key}` | {_shown(_default(option.key))} | {option.help} |" for option in OPTIONS]
    return "\n".join(["| option | default | what it does |", "| --- | --- | --- |", *rows])


def _default(key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(Settings(), section), name)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return "`auto`"
    return "empty" if value in ("", (), []) else f"`{value}`"


def unlisted() -> list[str]:
    """Settings that no option sets."""
    known = {option.key for option in OPTIONS}
    sections = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
    keys = [f"{section}.{field.name}" for section, value in sections.items() for field in fields(value)]
    return [key for key in keys if key not in known]


def main() -> None:
    """Put the tables into README.md."""
    text = README.read_text(encoding="utf-8")
    for (begin, end), table in (
        (_SETTINGS, settings_table()),
        (_FITS, fits_table()),
        (_CHECKERS, checkers_table()),
    ):
        pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
        text = pattern.sub(lambda _, whole=f"{begin}\n{table}\n{end}": whole, text)  # type: ignore[misc]
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
