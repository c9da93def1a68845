"""What is offered for a complaint: proved repairs, guesses and what could not be verified are told apart."""

from __future__ import annotations

from dataclasses import replace

import attrs
import pytest
from lsprotocol import types as lsp

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.pipeline import Outcome, Repair
from coderls.repair.verify import Verdict
from coderls.server.convert_fixes import Able, action_of
from coderls.session.fixes import Known, Offered, apart

TEXT = "print(sume)\n"
DOCUMENT = Document("file:///a.py", "python", 1, TEXT)
COMPLAINT = Diagnostic(6, 10, "Undefined name `sume`", rule="F821")
CAPABILITIES = lsp.ClientCapabilities(
    workspace=lsp.WorkspaceClientCapabilities(
        apply_edit=True,
        workspace_edit=lsp.WorkspaceEditClientCapabilities(
            document_changes=True, change_annotation_support=lsp.ChangeAnnotationsSupportOptions()
        ),
    ),
    text_document=lsp.TextDocumentClientCapabilities(
        code_action=lsp.CodeActionClientCapabilities(
            code_action_literal_support=lsp.ClientCodeActionLiteralOptions(
                lsp.ClientCodeActionKindOptions([lsp.CodeActionKind.QuickFix])
            ),
            is_preferred_support=True,
            disabled_support=True,
            data_support=True,
            resolve_support=lsp.ClientCodeActionResolveOptions(["edit"]),
        )
    ),
)
ABLE = Able(CAPABILITIES)
PREVIEWS = Able(attrs.evolve(CAPABILITIES, experimental={"coderlsPreview": True}))


def proved(new: str, *, guess: bool = False) -> Repair:
    candidate = Candidate(TEXT, (Edit(6, 10, new),), "rule", f"Change 'sume' to {new!r}", guess=guess)
    return Repair(candidate, Verdict(True, ("ruff: F821 is gone, nothing new",), "", ("parse", "ruff")))


def actions(
    outcome: Outcome, *, whole: bool = True, unverified: bool = False, able: Able = ABLE
) -> list[lsp.CodeAction]:
    known = Known(DOCUMENT)
    known.outcomes[COMPLAINT] = outcome
    known.whole |= {COMPLAINT} if whole else set()
    offers = Offered().about(known, COMPLAINT, told=False, unverified=unverified)
    made = [action_of(offer, {}, able, "utf-16") for offer in offers]
    return [one for one in made if isinstance(one, lsp.CodeAction)]


def note(action: lsp.CodeAction) -> lsp.ChangeAnnotation:
    assert action.edit is not None
    assert action.edit.change_annotations is not None
    [found] = action.edit.change_annotations.values()
    return found


def test_a_proved_repair_is_preferred_and_needs_no_confirmation() -> None:
    first, second = actions(Outcome((proved("sum"), proved("some"))))
    assert first.title == "Change 'sume' to 'sum' (verified: parse, ruff)"
    assert (first.is_preferred, second.is_preferred) == (True, None)
    assert note(first).needs_confirmation is False


@pytest.mark.parametrize("whole", [True, False])
def test_guesses_say_so_are_not_preferred_and_ask_first(whole: bool) -> None:
    found = actions(Outcome(guesses=(proved("sum", guess=True), proved("same", guess=True))), whole=whole)
    *search, first, second = found
    assert [one.title for one in search] == ([] if whole else ["Find a verified fix: Undefined name `sume`"])
    assert [first.title, second.title] == [
        "Guess: Change 'sume' to 'sum' (passes parse, ruff)",
        "Guess: Change 'sume' to 'same' (passes parse, ruff)",
    ]
    assert not first.is_preferred
    assert note(first).needs_confirmation is True
    assert (note(first).description or "").startswith("A guess")


def test_what_is_not_verified_asks_first_too() -> None:
    candidate = Candidate(TEXT, (Edit(6, 10, "x"),), "rule", "Change it")
    [one] = actions(Outcome(unverified=((candidate, "ruff still says no"),)), unverified=True)
    assert one.title == "Unverified: Change it (ruff still says no)"
    assert note(one).needs_confirmation is True


def test_a_client_with_a_preview_of_its_own_runs_a_command_for_what_it_has_to_show_first() -> None:
    found = actions(Outcome(guesses=(proved("sum", guess=True),)), whole=False, able=PREVIEWS)
    assert [(one.command is not None, one.edit, one.data) for one in found] == [(True, None, None)] * 2
    [sure] = actions(Outcome((proved("sum"),)), able=PREVIEWS)
    assert (sure.command, note(sure).needs_confirmation) == (None, False)


def test_fix_all_takes_repairs_only() -> None:
    outcome = Outcome(guesses=(proved("sum", guess=True),))
    assert apart([(COMPLAINT, repair) for repair in outcome.repairs]) == []


def test_what_is_known_holds_while_nothing_moves() -> None:
    other = Document("file:///b.py", "python", 1, "x = 1\n")
    known = Known(DOCUMENT, (other,))
    assert known.holds_for(DOCUMENT, [other])
    assert not known.holds_for(DOCUMENT, [replace(other, version=2)])
    assert not known.holds_for(DOCUMENT, [])
    assert not known.holds_for(replace(DOCUMENT, version=2), [other])
