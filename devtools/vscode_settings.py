"""Writes the server's settings into the VS Code extension: `python -m devtools.vscode_settings`.

The one list of settings is `coderls.settings.OPTIONS`. The extension's package.json repeats it in the form that VS Code
wants, one group for each section; the group of the extension's own settings is written by hand and stays as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coderls.option import Option
from coderls.settings import OPTIONS, Settings

MANIFEST = Path(__file__).resolve().parent.parent / "editors" / "vscode" / "package.json"
#: The group in package.json that is the extension's own.
OWN = "Server"


def updated(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the settings as they are now.

    What no project may set gets the scope `machine`, and is restricted in workspaces that are not trusted.
    """
    contributes, capabilities = manifest["contributes"], manifest["capabilities"]
    own = next(group for group in contributes["configuration"] if group["title"] == OWN)
    guarded = [key for key, setting in own["properties"].items() if setting["scope"] == "machine"]
    guarded += [_name(option) for option in OPTIONS if option.is_guarded]
    trust = {**capabilities["untrustedWorkspaces"], "restrictedConfigurations": guarded}
    return {
        **manifest,
        "capabilities": {**capabilities, "untrustedWorkspaces": trust},
        "contributes": {**contributes, "configuration": [own, *_groups()]},
    }


def _groups() -> list[dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for option in OPTIONS:
        groups.setdefault(option.key.partition(".")[0].capitalize(), {})[_name(option)] = _setting(option)
    return [{"title": title, "properties": settings} for title, settings in groups.items()]


def _setting(option: Option) -> dict[str, Any]:
    return {
        **option.check.schema,
        "default": _default(option.key),
        "scope": "machine" if option.is_guarded else "window",
        "markdownDescription": option.help[0].upper() + option.help[1:] + ".",
    }


def _name(option: Option) -> str:
    return f"coderls.{option.key}"


def _default(key: str) -> Any:
    section, name = key.split(".")
    value = getattr(getattr(Settings(), section), name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return "auto" if value is None else list(value) if isinstance(value, tuple) else value


def written(manifest: dict[str, Any]) -> str:
    """As npm writes it."""
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Bring package.json up to date."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    MANIFEST.write_text(written(updated(manifest)), encoding="utf-8")


if __name__ == "__main__":
    main()
