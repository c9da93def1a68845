"""`coderls complete`, with a real engine process and a scripted model."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coderls import cli
from coderls.cli.complete import provenance
from coderls.document import Piece, Snippet
from coderls.engine.blend import FEATURES
from coderls.engine.runner import GATE_FILE
from coderls.fim.backdrop import Part
from coderls.fim.prompt import Prompt

from .conftest import Shown

Run = Callable[..., Shown]


def test_the_completion_is_printed(coderls: Run, model: Path, project: Path) -> None:
    shown = coderls("complete", f"{project / 'app.py'}:3:9", "--model", model)
    assert (shown.code, shown.out) == (0, "add(1, 2)\n")
    assert "starting the engine" in shown.err


def test_explain_lists_what_other_files_gave(coderls: Run, model: Path, project: Path) -> None:
    target = f"{project / 'app.py'}:3:9"
    shown = coderls("complete", target, "--model", model, "--explain")
    assert "retriever" in shown.err
    assert "sums.py:1-1 add" in shown.err
    assert re.search(
        r"Of \d+ tokens for other files \(.*`context.tokens` sets another number\): [1-9]\d*\.\n", shown.err
    )
    set_to = coderls("complete", target, "--model", model, "--explain", "--set", "context.tokens=300")
    assert re.search(r"Of \d+ tokens for other files \(`context.tokens`\): ", set_to.err)
    context = coderls("complete", target, "--model", model, "--json").json["context"]
    assert [
        (snippet["path"], piece["name"], piece["retriever"]) for snippet in context for piece in snippet["pieces"]
    ] == [("sums.py", "add", "import")]
    none = coderls("complete", target, "--model", model, "--explain", "--no-context")
    assert "Nothing of other files was offered" in none.err


def test_influence_says_what_each_file_was_worth(coderls: Run, model: Path, project: Path) -> None:
    target = f"{project / 'app.py'}:3:9"
    shown = coderls("complete", target, "--model", model, "--influence")
    assert "sums.py made the completion so much likelier" in shown.err
    facts = coderls("complete", target, "--model", model, "--json", "--influence").json
    assert facts["influence"] == [{"path": "sums.py", "change": 0.0}], "the scripted model finds all texts alike"


def test_json_says_where_it_comes_from(coderls: Run, model: Path, project: Path) -> None:
    shown = coderls("complete", f"{project / 'app.py'}:3:9", "--model", model, "--json")
    facts = shown.json
    assert facts["text"] == "add(1, 2)"
    assert facts["range"] == {"start": {"line": 3, "column": 9}, "end": {"line": 3, "column": 9}}
    assert facts["model"] == "scripted"
    assert facts["reason"] == ""
    assert facts["finish_reason"] == "stop"
    assert facts["tokens"]["prompt"] > facts["tokens"]["completion"] > 0
    assert facts["tokens"]["cached"] == 0
    stages = ("engine_start", "index", "context", "prompt", "first_token", "engine", "postprocess", "verify", "total")
    assert all(facts["timings_ms"][stage] >= 0 for stage in stages)
    by_path = {part["path"]: part for part in facts["prompt"]}
    assert by_path["sums.py"]["kind"] == "definition" or by_path["sums.py"]["kind"] == "import"
    assert (by_path["sums.py"]["first_line"], by_path["sums.py"]["last_line"]) == (1, 3)
    assert by_path["app.py"]["kind"] in ("prefix", "suffix")


def test_context_can_be_left_out(coderls: Run, model: Path, project: Path) -> None:
    shown = coderls("complete", f"{project / 'app.py'}:3:9", "--model", model, "--json", "--no-context")
    assert {part["path"] for part in shown.json["prompt"]} == {"app.py"}


def test_max_tokens(coderls: Run, model: Path, project: Path) -> None:
    shown = coderls("complete", f"{project / 'app.py'}:3:9", "--model", model, "--json", "--max-tokens", 2)
    assert shown.json["tokens"]["completion"] <= 2


def test_an_engine_that_runs_is_used_again(coderls: Run, model: Path, project: Path) -> None:
    coderls("complete", f"{project / 'app.py'}:3:9", "--model", model)
    shown = coderls("complete", f"{project / 'app.py'}:3:9", "--model", model, "--json")
    assert "starting the engine" not in shown.err
    assert shown.json["tokens"]["cached"] > 0


def test_characters_beyond_ascii(coderls: Run, model: Path, project: Path) -> None:
    (project / "app.py").write_text("x = '😀'; greet = ", encoding="utf-8")
    shown = coderls("complete", f"{project / 'app.py'}:1:18", "--model", model, "--json")
    assert shown.json["text"] == "'héllo 😀'"


def test_no_suggestion_is_no_error(coderls: Run, model: Path, project: Path) -> None:
    (project / "app.py").write_text("silence")
    shown = coderls("complete", f"{project / 'app.py'}:1:8", "--model", model)
    assert (shown.code, shown.out) == (0, "")
    assert "no suggestion here: the model said nothing; a line of code, or a comment" in shown.err


def test_explain_says_why_there_is_no_suggestion(coderls: Run, model: Path, project: Path) -> None:
    (project / "app.py").write_text("from sums import add\n\nodd = \nprint(add(1, 2))\n")
    target = f"{project / 'app.py'}:3:7"
    shown = coderls("complete", target, "--model", model, "--explain")
    assert (shown.code, shown.out) == (0, "")
    assert "sums.py:1-1 add" in shown.err
    assert "The model said: ')]}" in shown.err
    assert "no suggestion here: what the model said is withheld, as it would break the syntax of the file." in shown.err
    facts = coderls("complete", target, "--model", model, "--json").json
    assert facts["said"].startswith(")]}")
    assert [piece["path"] for piece in facts["context"]] == ["sums.py"]


def test_explain_marks_what_is_not_in_the_prompt() -> None:
    inside, outside = Snippet("a.py", 0, 1, "def a(): ...\n", "import"), Snippet("b.py", 4, 5, "def b(): ...\n", "near")
    pieces = Piece("a", 0, 1, "import", 0.5, 4), Piece("b", 4, 5, "near", 0.25, 4)
    snippets = [replace(inside, pieces=pieces[:1]), replace(outside, pieces=pieces[1:])]
    prompt = Prompt((), (Part("import", "a.py", 0, 1, 4),), None, "")
    assert provenance(snippets, prompt).split("\n")[1:] == [
        " 0.500      4  in        import     a.py:1-1 a",
        " 0.250      4  left out  near       b.py:5-5 b",
    ]
    assert [each["in_prompt"] for each in prompt.explained(snippets)["context"]] == [True, False]


def test_nothing_is_started_for_a_file_that_may_hold_secrets(coderls: Run, model: Path, project: Path) -> None:
    (project / ".env").write_text("TOKEN=")
    shown = coderls("complete", f"{project / '.env'}:1:7", "--model", model, "--explain")
    assert shown.err.splitlines() == [
        "The model was not asked.",
        "coderls: no suggestion here: the file may hold secrets.",
    ]


def test_a_reason_is_said_where_there_is_one(coderls: Run, model: Path, project: Path) -> None:
    (project / ".env").write_text("TOKEN=")
    shown = coderls("complete", f"{project / '.env'}:1:7", "--model", model, "--json")
    assert shown.code == 0
    assert shown.json["text"] == ""
    assert shown.json["reason"] == "the file may hold secrets"


def refused(shown: Shown, *says: str, code: int = 2) -> None:
    assert shown.code == code
    assert shown.out == ""
    assert "coderls: " in shown.err
    assert "Traceback" not in shown.err
    for part in says:
        assert part in shown.err


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        (b"x = 1\n", "9:1", "there is no line 9"),
        (b"x = 1\n", "1:9", "there is no column 9"),
        (b"\x7fELF\0\0", "1:1", "is a binary file"),
        (b"caf\xe9\n", "1:1", "is not UTF-8"),
        (b"\n" * 50_000_000, "1:1", "50 MB"),
    ],
    ids=["line", "column", "binary", "latin-1", "50 MB"],
)
def test_bad_files(coderls: Run, project: Path, data: bytes, place: str, says: str) -> None:
    (project / "bad.py").write_bytes(data)
    code = 2 if "there is no" in says else 1  # a place that is not there is to be corrected
    refused(coderls("complete", f"{project / 'bad.py'}:{place}"), says, code=code)


def test_no_such_file(coderls: Run, project: Path) -> None:
    refused(coderls("complete", f"{project / 'none.py'}:1:1"), "There is no file", "Check the path.")


def test_a_folder(coderls: Run, project: Path) -> None:
    refused(coderls("complete", f"{project}:1:1"), "is a folder")


def test_no_such_model(coderls: Run, project: Path) -> None:
    refused(coderls("complete", f"{project / 'app.py'}:3:9", "--model", "./none"), "none")


def test_a_wrong_option_is_not_guessed_at(coderls: Run, model: Path, project: Path) -> None:
    place = f"{project / 'app.py'}:3:9"
    said = coderls("complete", place, "--model", model, "--set", "engine.thread=2").err
    assert "ignored" not in said  # nothing is done at all
    said = coderls("complete", place, "--model", model, "--set", "engine.threads=many").err
    assert "instead" not in said
    refused(coderls("complete", place, "--model", model, "--set", "engine.thread=2"), "engine.thread")
    refused(coderls("complete", place, "--model", model, "--set", "engine.threads=many"), "whole number")
    refused(coderls("complete", place, "--model", model, "--set", "engine.threads"), "--set KEY=VALUE")
    refused(coderls("complete", place, "--model", model, "--max-tokens", "0"), "completion.max_tokens")
    refused(coderls("complete", place, "--engine-token-file", project / "none"), "token file")


def test_an_engine_elsewhere_that_is_not_there(coderls: Run, project: Path) -> None:
    shown = coderls("complete", f"{project / 'app.py'}:3:9", "--engine-url", "http://127.0.0.1:1")
    refused(shown, "127.0.0.1:1", code=1)


def test_a_model_that_cannot_be_loaded_ends_with_its_reason(coderls: Run, model: Path, project: Path) -> None:
    (model / "fake.json").write_text('{"load_error": "The weights are torn."}')
    refused(coderls("complete", f"{project / 'app.py'}:3:9", "--model", model), "The weights are torn.", code=1)
    assert coderls("complete", f"{project / 'app.py'}:3:9", "--model", model).err.count("The weights are torn.") == 1


@pytest.mark.parametrize("target", ["app.py", "app.py:3", "app.py:x:1", r"C:\app.py:3"])
def test_a_target_that_is_none_is_wrong_usage(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["complete", target])
    assert left.value.code == 2
    assert "is no FILE:LINE:COLUMN" in capsys.readouterr().err


def test_explain_says_how_many_words_of_the_repository_were_blended_in(
    coderls: Run, model: Path, project: Path, tmp_path: Path
) -> None:
    gated = tmp_path / "gated"
    shutil.copytree(model, gated)
    (gated / GATE_FILE).write_text(
        json.dumps({"prompt": [0.0] * (1 + 2 * FEATURES), "local": [0.0] * (1 + 2 * FEATURES)})
    )
    target = f"{project / 'app.py'}:3:9"
    shown = coderls("complete", target, "--model", gated, "--explain")
    assert re.search(r"Words of the repository that were blended in: [1-9]\d* tokens\.\n", shown.err)
    assert coderls("complete", target, "--model", gated, "--json").json["blended_words"] > 10
    off = coderls("complete", target, "--model", gated, "--explain", "--set", "context.words=off")
    assert "blended in" not in off.err
    assert "blended in" not in coderls("complete", target, "--model", model, "--explain").err
