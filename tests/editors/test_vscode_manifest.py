"""The extension's package.json says what the server says. No editor is needed for this."""

from __future__ import annotations

import json
import re
from typing import Any

import coderls
from coderls.settings import OPTIONS
from devtools.vscode_settings import MANIFEST, updated, written


def manifest() -> dict[str, Any]:
    return dict(json.loads(MANIFEST.read_text(encoding="utf-8")))


def test_the_extension_knows_the_servers_settings() -> None:
    assert written(updated(manifest())) == MANIFEST.read_text(encoding="utf-8"), (
        "run `python -m devtools.vscode_settings` to bring package.json up to date"
    )


def test_a_project_can_set_nothing_that_chooses_an_engine_or_a_command() -> None:
    groups = manifest()["contributes"]["configuration"]
    scopes = {key: setting["scope"] for group in groups for key, setting in group["properties"].items()}
    guarded = {f"coderls.{option.key}" for option in OPTIONS if option.is_guarded}
    guarded |= {key for key in scopes if key.startswith("coderls.server.")}
    assert guarded >= {"coderls.engine.url", "coderls.engine.model", "coderls.server.command"}
    assert {scopes[key] for key in guarded} == {"machine"}
    assert set(manifest()["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]) == guarded


def test_versions_go_together() -> None:
    assert manifest()["version"] == coderls.__version__


def test_keys_are_taken_only_while_a_next_edit_or_a_preview_is_shown() -> None:
    bound = {binding["command"]: binding for binding in manifest()["contributes"]["keybindings"]}
    assert set(bound) == {"coderls.nextEdit", "coderls.dismissNextEdit", "coderls.applyPreview"}
    assert "resourceScheme == coderls-preview" in bound.pop("coderls.applyPreview")["when"]
    whens = {name: set(binding["when"].split(" && ")) for name, binding in bound.items()}
    assert all(
        {"coderls.nextEditOffered", "editorTextFocus", "!inlineSuggestionVisible"} <= when for when in whens.values()
    )
    # Escape closes and ends many things in an editor: they go first.
    others = {"!suggestWidgetVisible", "!findWidgetVisible", "!inSnippetMode", "!editorHasSelection", "!vim.active"}
    assert others <= whens["coderls.dismissNextEdit"]


def test_the_lock_file_names_no_registry_and_has_a_checksum_for_each_package() -> None:
    packages = json.loads((MANIFEST.parent / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert not [name for name, package in packages.items() if name and "integrity" not in package]


def test_what_is_pinned_is_pinned_exactly() -> None:
    packages = manifest()["dependencies"] | manifest()["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in packages.values())
