"""Why one file is in the index, or is not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from coderls.repo_context.exclusion import Reason
from coderls.repo_context.filters import decoded, name_reason, text_reason
from coderls.repo_context.intake import Intake
from coderls.repo_context.languages import by_path


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is None for a file that is indexed, or would be at the next look; `detail` is a sentence's end."""

    path: Path
    indexed: bool
    reason: Reason | None
    detail: str


def verdict(intake: Intake, path: Path) -> Verdict:
    """What the index has of `path`, or the first reason why it has nothing, in the order in which they are asked."""
    place = intake.workspace.locate(path)
    if place is None:
        return _out(path, Reason.OUTSIDE)
    return _held(intake, path, *place) or _kept_out(intake, path, *place) or Verdict(path, False, None, "not read yet")


def _held(intake: Intake, path: Path, number: int, inside: str) -> Verdict | None:
    """What the index has of a file; None when that is nothing."""
    with intake.lock:
        shelf = intake.shelves[number]
        outlined = shelf.is_outlined(inside)
        definitions = len(shelf.definitions(inside)) if outlined else 0
        is_settings = shelf.knows(inside) and by_path(inside) is None
    if outlined:
        source = "as it is in the editor" if intake.open_at(number, inside) else "as it is on disk"
        return Verdict(path, True, None, f"{definitions} definitions, {source}")
    return Verdict(path, True, None, "read because imports are resolved by it") if is_settings else None


def _kept_out(intake: Intake, path: Path, number: int, inside: str) -> Verdict | None:
    """Why the index has nothing of a file; None when nothing speaks against it."""
    workspace = intake.workspace
    if path.is_dir():
        return Verdict(path, False, None, "a folder: ask about a file in it")
    reason = workspace.forbidden(path)
    if reason is None and not os.path.lexists(path):
        reason = Reason.GONE
    if reason is None and workspace.open_only[number]:
        reason = Reason.HOME
    if reason is None and workspace.is_passed_over(number, inside):
        reason = Reason.FOLDER
    reason = reason or name_reason(inside) or intake.left_out[number].get(inside)
    if reason is None:
        found = workspace.read_bytes(number, inside)
        reason = found.reason or text_reason(decoded(found.data))
    if reason is None:
        return None
    return _out(path, reason, workspace.ignore_rule(number, inside) if reason is Reason.IGNORED else "")


def _out(path: Path, reason: Reason, detail: str = "") -> Verdict:
    return Verdict(path, False, reason, f"{reason.value} ({detail})" if detail else reason.value)
