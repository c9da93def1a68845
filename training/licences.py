"""Which licence a project and a file have, by what they say themselves; only permissive ones are taken.

Names are SPDX identifiers (https://spdx.org/licenses/). What cannot be read for certain is not permissive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PERMISSIVE = frozenset({"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache-2.0", "PSF-2.0", "ISC"})

#: Free text of metadata, as people write it, against identifiers; the whole text has to match.
_WRITTEN = (
    (r"(the )?mit([ -]license)?", "MIT"),
    (r"(new |modified |revised )?bsd|(3|three)[ -]clause bsd|bsd[ -](3|three)([ -]clause)?", "BSD-3-Clause"),
    (r"(simplified bsd|(2|two)[ -]clause bsd|bsd[ -](2|two)([ -]clause)?)", "BSD-2-Clause"),
    (r"apache( software)?([ -](license))?([, ]*(v|version)?[ -]?2(\.0)?)?([ -]license)?", "Apache-2.0"),
    (r"psf(-2\.0)?|python software foundation|psfl|python-2\.0", "PSF-2.0"),
    (r"isc|isc license \(iscl\)", "ISC"),
    (r"0bsd", "0BSD"),
)
_CLASSIFIER = "License :: OSI Approved :: "
_COPYLEFT = re.compile(
    r"\b(?:A|L)?GPL|GNU (?:Affero |Lesser |Library )?General Public|Mozilla Public|\bMPL\b|\bEPL\b|Eclipse Public"
    r"|\bCDDL\b|CC[ -]BY|Creative Commons|\bSSPL\b|\bBUSL\b|[Pp]roprietary|CONFIDENTIAL|\bEUPL\b"
)
_IDENTIFIER = re.compile(r"SPDX-License-Identifier:\s*([^\n*]+)")
#: Sentences that only these licences hold, in texts without line ends.
_SENTENCES = (
    ("Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("Permission to use, copy, modify, and/or distribute this software for any", "ISC"),
    ("Permission to use, copy, modify, and distribute this software for any", "ISC"),
    ("Apache License Version 2.0", "Apache-2.0"),
    ("Licensed under the Apache License, Version 2.0", "Apache-2.0"),
    ("PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2", "PSF-2.0"),
)
_BSD = "Redistribution and use in source and binary forms"
_BSD_THIRD = "used to endorse or promote products derived"


def of_metadata(expression: str, written: str, classifiers: Iterable[str]) -> str | None:
    """The licence of a Python distribution by its core metadata; None where it is not surely permissive.

    `expression` is License-Expression, `written` License, and `classifiers` are all its classifiers.
    """
    if expression:
        return expression.strip() if is_permissive(expression) else None
    named = [text.removeprefix(_CLASSIFIER) for text in classifiers if text.startswith("License ::")]
    named = [text for text in named if text != "License :: OSI Approved"]
    said = [written.strip(), *named] if written.strip() and len(written) < 200 else named
    if not said or any(_COPYLEFT.search(text) for text in [*said, written]):
        return None
    found = {_as_identifier(text) for text in said}
    found |= {of_text(written)} if len(written) >= 200 else set()
    plain = {text for text in found if text}
    if not plain or (None in found and any(_as_identifier(text) is None for text in named)):
        return None
    return " AND ".join(sorted(plain)) if plain <= PERMISSIVE else None


def _as_identifier(text: str) -> str | None:
    if is_permissive(text):
        return text.strip()
    plain = re.sub(r"\s+", " ", text.strip().lower()).removesuffix(".").removesuffix(" license").removesuffix(",")
    return next((name for pattern, name in _WRITTEN if re.fullmatch(pattern, plain)), None)


def is_permissive(expression: str) -> bool:
    """Whether an SPDX expression leaves a choice of permissive licences only; False for what is no expression."""
    tokens = re.findall(r"[()]|[\w.+-]+", expression)
    if "".join(tokens) != re.sub(r"\s+", "", expression) or not tokens:
        return False
    try:
        good, rest = _either(tokens)
    except IndexError:
        return False
    return good and not rest


def _either(tokens: list[str]) -> tuple[bool, list[str]]:
    good, rest = _both(tokens)
    while rest and rest[0].upper() == "OR":
        other, rest = _both(rest[1:])
        good = good or other
    return good, rest


def _both(tokens: list[str]) -> tuple[bool, list[str]]:
    good, rest = _one(tokens)
    while rest and rest[0].upper() == "AND":
        other, rest = _one(rest[1:])
        good = good and other
    return good, rest


def _one(tokens: list[str]) -> tuple[bool, list[str]]:
    if tokens[0] == "(":
        good, rest = _either(tokens[1:])
        return (good, rest[1:]) if rest[0] == ")" else (False, rest)
    rest = tokens[1:]
    if rest and rest[0].upper() == "WITH":  # an exception only permits more
        rest = rest[2:] if len(rest) > 1 else [""]
    return tokens[0] in PERMISSIVE, rest


def of_text(text: str) -> str | None:
    """The licence that a LICENSE file holds; None for others, for several with a copyleft one, and for none."""
    plain = re.sub(r"\s+", " ", text)
    if _COPYLEFT.search(plain):
        return None
    for sentence, name in _SENTENCES:
        if sentence.lower() in plain.lower():
            return name
    if _BSD in plain:
        return "BSD-3-Clause" if _BSD_THIRD in plain else "BSD-2-Clause"
    return None


def objection(text: str) -> str | None:
    """Why a file may not be taken although its project may: what its own head says. None: nothing against it."""
    head = text[:3000]
    stated = _IDENTIFIER.search(head)
    if stated:
        wanted = stated[1].strip().removesuffix("-->").strip()
        return None if is_permissive(wanted) else f"its head says {wanted:.60}"
    comment = "\n".join(line for line in head.split("\n")[:40] if re.match(r"\s*(#|//|/?\*|\"\"\"|''')", line))
    found = _COPYLEFT.search(comment)
    return f"its head names {found.group()}" if found else None
