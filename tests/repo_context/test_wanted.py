"""What a slot asks for: properties of objects, what is called, and what classes of the same kind set."""

from __future__ import annotations

import pytest

from tests.repo_context.repository import check

COLOR = """\
export interface ColorDefaults {
    light?: string;
    dark?: string;
}
export interface Definition {
    readonly label: string;
    defaults?: ColorDefaults;
    more?: ColorDefaults[];
}
export type Alias = Definition;
export class Registry {
    current: Definition;
    register(name: string, ...all: Definition[]): void {}
    update(change: Partial<Definition>): void {}
    listen(go: (definition: Definition) => void): void {}
}
export interface Props { size: number; onDone?: () => void; }
export function Tree(props: Props) { return null; }
export class Forest extends Component<Props> { cut() {} }
export class Made { constructor(options: Definition) {} }
""" + "".join(
    f"export interface Other{number} {{ first{number}: string; second{number}: number; }}\n" for number in range(20)
)
NAMES = ("Alias", "Definition", "Forest", "Made", "Registry", "Tree")
#: So many tokens that only what is surely wanted fits.
FEW = 100


def beside_colors(code: str, name: str = "main.ts") -> str:
    """What is shown where `code` imports from `COLOR` what it names."""
    imported = ", ".join(each for each in NAMES if each in code)
    return check({"color.ts": COLOR, name: f"import {{ {imported} }} from './color';\n{code}"}, FEW)


@pytest.mark.parametrize(
    "code",
    [
        "function f(r: Registry) {\n    r.register('a', {\n        $0\n    });\n}",
        "function f(r: Registry) {\n    r.register('a', { }, {\n        $0\n    });\n}",
        "class A {\n    constructor(private r: Registry) { }\n    go() {\n        this.r.update({ $0 });\n    }\n}",
        "const x: Definition = {\n    $0\n};",
        "const x: Array<Alias> = [{\n    $0\n}];",
        "function f(): Promise<Definition> {\n    return {\n        $0\n    };\n}",
        "const f = (): Definition => ({\n    $0\n});",
        "const made = new Made({\n    $0\n});",
        "function f(r: Registry) {\n    r.current = {\n        $0\n    };\n}",
    ],
)
def test_the_properties_of_an_object_are_those_of_the_type_that_it_needs(code: str) -> None:
    found = beside_colors(code)
    assert "label: string" in found
    assert "defaults?: ColorDefaults" in found


def test_elsewhere_there_is_no_room_for_them() -> None:
    found = beside_colors("function f(r: Registry) {\n    $0\n}")
    assert "label: string" not in found
    assert "light?: string" not in found
    assert "size: number" not in found


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_parameter_of_another_function_is_another_thing(place: str) -> None:
    here = "function f(r: Registry) {\n    r.register('a', {\n        $0\n    });\n}\n"
    other = "function g(r: Tree) {\n    return r;\n}\n"
    found = beside_colors(other + here if place == "before" else here + other)
    assert "label: string" in found


@pytest.mark.parametrize("key", ["defaults: {", "more: [{"])
def test_properties_lead_to_the_objects_inside(key: str) -> None:
    code = "function f(r: Registry) {\n    r.register('a', {\n        label: 'x',\n        " + key + "\n            $0"
    found = beside_colors(code)
    assert "light?: string" in found
    assert "dark?: string" in found


@pytest.mark.parametrize("tag", ["Tree", "Forest"])
def test_an_element_takes_the_props_of_its_component(tag: str) -> None:
    code = f"export const view = () => <div>\n    <{tag}\n        $0\n    /></div>;"
    found = beside_colors(code, "main.tsx")
    assert "onDone?: () => void" in found


def test_the_types_of_parameters_far_above_are_known() -> None:
    rows = "".join(f"    r.register('{number}', {{ }});\n" for number in range(400))
    code = "function f(r: Registry) {\n" + rows + "    r.register('a', {\n        $0\n    });\n}"
    assert "label: string" in beside_colors(code)


BASE = """\
from dataclasses import dataclass

@dataclass
class Options:
    retries: int = 3
    verify_host: bool = True

class Field:
    def __init__(self, label, *, blank=False): ...

class TextField(Field):
    pass

""" + "".join(f"class Other{number}:\n    pass\n\n" for number in range(30))


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("x = Options(\n    retries=1,\n    $0", "verify_host: bool"),
        ("x = TextField($0", "def __init__(self, label, *, blank=False)"),
        (
            "class Mine(Field):\n    def __init__(self, label):\n        super().__init__($0",
            "def __init__(self, label, *",
        ),
    ],
)
def test_what_is_called_is_shown_with_its_keywords(code: str, wanted: str) -> None:
    files = {"base.py": BASE, "main.py": "from base import Field, Options, TextField\n\n" + code}
    assert wanted in check(files, 50)


FEATURES = "class BaseFeatures:\n" + "".join(f"    flag_{number} = False\n" for number in range(80))


@pytest.mark.parametrize("place", ["mysql/features.py", "own file"])
def test_of_a_large_base_those_members_come_first_that_classes_like_this_one_set(place: str) -> None:
    one = "class Features(BaseFeatures):\n    flag_61 = True\n    flag_62 = True\n\n"
    mine = "class Features(BaseFeatures):\n    flag_62 = True\n    $0\n"
    files = {"base.py": FEATURES, "oracle/features.py": "from base import BaseFeatures\n\n"}
    if place == "own file":
        files["oracle/features.py"] += one.replace("Features(", "OldFeatures(") + mine
    else:
        files["oracle/features.py"] += mine
        files[place] = "from base import BaseFeatures\n\n" + one
    found = check(files, 40)
    assert "flag_61 = False" in found
    assert "flag_62 = False" not in found, "that one is set already"
