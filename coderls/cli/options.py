"""Options that several commands share, and the settings that they make."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from coderls.errors import SettingsError
from coderls.settings import Settings, parse_settings


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--engine-url` and their kind, and `--set` for every other option."""
    group = parser.add_argument_group("settings")
    group.add_argument("--model", metavar="NAME|DIR", help="model name, or directory (default: the embedded one)")
    group.add_argument("--engine-url", metavar="URL", help="another OpenAI-compatible engine, or unix:PATH")
    group.add_argument("--engine-token-file", metavar="FILE", type=Path, help="file with the bearer token for it")
    group.add_argument(
        "--set", metavar="KEY=VALUE", dest="pairs", action="append", default=[], help="any option of the README"
    )


def settings_of(args: argparse.Namespace, **more: Any) -> Settings:
    """The settings that the command line asks for; `more` are options by name, None for those not given.

    Raises SettingsError for the first option that cannot be used: a command line is corrected, not guessed at.
    """
    options: dict[str, Any] = dict(_pair(pair) for pair in args.pairs)
    given = {"engine.model": args.model, "engine.url": args.engine_url, "engine.token": _token(args.engine_token_file)}
    options.update({key: value for key, value in (given | more).items() if value is not None})
    settings, problems = parse_settings(options)
    if problems:
        raise SettingsError(f"{problems[0].what}.", "The README lists all options.")
    return settings


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set {text} has no value.", "Write --set KEY=VALUE, for example --set engine.threads=2.")
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), value  # a word needs no quotes


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"The token file {file} cannot be read: {error}.", "Check its path.") from error
