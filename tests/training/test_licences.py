"""Which licences are taken."""

from __future__ import annotations

import pytest

from training import licences


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("Apache-2.0 AND GPL-3.0-only", False),
        ("(MIT OR LGPL-2.1-only) AND BSD-3-Clause", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH", False),
        ("MIT License", False),
        ("(MIT", False),
        ("", False),
        ("LGPL-3.0-or-later", False),
    ],
)
def test_expressions(expression: str, good: bool) -> None:
    assert licences.is_permissive(expression) is good


@pytest.mark.parametrize(
    ("expression", "written", "classifiers", "licence"),
    [
        ("MIT", "", [], "MIT"),
        ("MPL-2.0", "MIT", [], None),
        ("", "BSD 3-Clause License", [], "BSD-3-Clause"),
        ("", "Apache License 2.0", ["License :: OSI Approved :: Apache Software License"], "Apache-2.0"),
        ("", "", ["License :: OSI Approved :: MIT License"], "MIT"),
        ("", "MIT", ["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"], None),
        ("", "", [], None),
        ("", "see LICENSE", [], None),
        ("", "", ["License :: OSI Approved"], None),
        ("", "", ["License :: OSI Approved :: Python Software Foundation License"], "PSF-2.0"),
    ],
)
def test_metadata(expression: str, written: str, classifiers: list[str], licence: str | None) -> None:
    assert licences.of_metadata(expression, written, classifiers) == licence


def test_texts_of_licences() -> None:
    mit = "Permission is hereby granted, free of charge,\nto any person obtaining a copy of this software"
    bsd = "Redistribution and use in source and binary forms, with or without modification, are permitted"
    assert licences.of_text(mit) == "MIT"
    assert licences.of_text(bsd) == "BSD-2-Clause"
    assert licences.of_text(f"{bsd}\nmay be used to endorse or\npromote products derived from it") == "BSD-3-Clause"
    assert licences.of_text(f"{mit}\nSome files are under the GNU General Public License.") is None
    assert licences.of_text("All rights reserved.") is None


def test_a_files_own_head_counts_more_than_its_project() -> None:
    assert licences.objection("# SPDX-License-Identifier: GPL-2.0-only\nx = 1\n") is not None
    assert licences.objection("# SPDX-License-Identifier: MIT\nx = 1\n") is None
    assert licences.objection("# under the GNU Lesser General Public License\n") is not None
    assert licences.objection("LICENCES = ['LGPL']\n") is None
