"""What lsprotocol's types are when each is finished as it is first used: the same as when all are at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import attrs
from lsprotocol import types as lsp

#: Of a new process: this one has the types already.
LATE = """
import json, sys
import coderls.server
from coderls.server.late_types import _LATE
from lsprotocol import converters, types as lsp
from tests.server.test_late_types import classes, described

def waiting():
    return sum(each.__dict__.get("__attrs_attrs__") is _LATE for each in classes())

begun = waiting()
converter = converters.get_converter()
made = converter.structure(json.loads(sys.argv[1]), lsp.InitializeParams)
used = begun - waiting()
sent = converter.unstructure(made)
print(json.dumps([begun, used, sent, described()]))
"""

PARAMS = {
    "processId": None,
    "rootUri": None,
    "capabilities": {"general": {"positionEncodings": ["utf-8"]}, "textDocument": {"inlineCompletion": {}}},
    "workspaceFolders": [{"uri": "file:///work", "name": "work"}],
}


def classes() -> list[type]:
    found = [each for each in lsp.ALL_TYPES_MAP.values() if isinstance(each, type)]
    return [each for each in found if "__attrs_attrs__" in each.__dict__]


def described() -> dict[str, Any]:
    """What a class is: its fields with types and defaults, and its own methods."""
    methods = ("__init__", "__eq__", "__repr__", "__setattr__")
    return {
        each.__name__: [
            [
                f"{field.name}: {field.type} = {field.default!r} {_named(field.validator)}"
                for field in attrs.fields(each)
            ],
            [name for name in methods if name in each.__dict__],
            each.__hash__ is None,
        ]
        for each in classes()
    }


def _named(validator: object) -> str:
    return re.sub(" at 0x[0-9a-f]+", "", repr(validator))


def test_late_classes_are_what_they_would_have_been() -> None:
    from lsprotocol import converters

    ended = subprocess.run([sys.executable, "-c", LATE, json.dumps(PARAMS)], capture_output=True, text=True, check=True)
    begun, used, sent, found = json.loads(ended.stdout)
    converter = converters.get_converter()  # resolves the types of this process
    assert 500 < begun <= len(found)
    assert 0 < used < 200, "a start needs few of them"
    assert sent == converter.unstructure(converter.structure(PARAMS, lsp.InitializeParams))
    assert found == described()


BELOW = """
import attrs
import coderls.server.late_types
from lsprotocol import types as lsp

class Fields(lsp.Position): pass
class Plain(lsp.Range): pass
class Own(lsp.Command):
    def __init__(self, name):
        super().__init__(name, command="do")

place = lsp.Position(1, 2)
print([field.name for field in attrs.fields(Fields)], Plain(place, place).start is place, Own("x").command)
"""


def test_a_class_below_one_that_is_not_finished_finishes_it() -> None:
    ended = subprocess.run([sys.executable, "-c", BELOW], capture_output=True, text=True, check=True)
    assert ended.stdout == "['line', 'character'] True do\n"


def test_getting_ready_is_no_first_message_and_leaves_little_to_finish_for_it() -> None:
    code = (
        "import json, sys\n"
        "from coderls.server.late_types import _LATE\n"
        "from coderls.server.methods import Server\n"
        "from tests.server.test_late_types import classes\n"
        "def waiting():\n    return sum(each.__dict__.get('__attrs_attrs__') is _LATE for each in classes())\n"
        "protocol = Server().protocol\n"
        "begun = waiting()\n"
        "protocol.get_ready()\n"
        "ready = waiting()\n"
        "said = protocol.is_initialized\n"
        "data = {'jsonrpc': '2.0', 'id': 1, 'method': 'initialize', 'params': json.loads(sys.argv[1])}\n"
        "protocol.structure_message(data)\n"
        "print(json.dumps([said, begun - ready, ready - waiting()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(PARAMS)], capture_output=True, text=True, check=True)
    said, before, after = json.loads(done.stdout)
    assert not said
    assert before > 20
    assert after == 0
