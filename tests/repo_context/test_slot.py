from __future__ import annotations

import tracemalloc

import pytest

from coderls.repo_context.languages import by_id
from coderls.repo_context.parameters import Parameter, parameters
from coderls.repo_context.slot import Slot, slot_at

COLORS = """\
class Contribution {
    register(colors: Registry): void {
        colors.register(
            {
                id: 'a', description: 'b'
            },
            {
                id: 'x',
                defaults: {
                    dark: "{",
                    $0
                },
                description: 'y'
            }
        );
    }
}
"""


def at(text: str, **options: bool) -> Slot | None:
    offset = text.index("$0")
    return slot_at(text.replace("$0", ""), offset, **options)


def known(slot: Slot | None) -> str:
    """A slot in short: what it belongs to, the way into it, and a question mark where a name comes next."""
    if slot is None:
        return ""
    belongs = slot.called and f"{slot.called}({slot.argument})"
    whole = "/".join([belongs or slot.type or f"={slot.value}", *slot.keys])
    return whole + (" {?" if slot.in_object and slot.at_name else " ?" if slot.at_name else "")


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        (COLORS, "colors.register(1)/defaults {?"),
        (COLORS.replace("$0", "").replace("id: 'x'", "id: $0"), "colors.register(1)/id"),
        ("function f() {\n    this.x.show(a, { text, $0 });", "this.x.show(1) {?"),
        ("    show<Foo>(a(1, 2), b, {\n      text,\n      $0\n", "show(2) {?"),
        ("const x: Partial<Foo> = {\n    a: 1,\n    $0\n};", "Partial<Foo> {?"),
        ("export const xs: Foo[] = [\n  {\n    a: 1\n  },\n  {\n    $0\n", "Foo[] {?"),
        ("private x: A<B> = {\n    a: [{\n        $0", "A<B>/a {?"),
        ("this.options = {\n    $0\n}", "=this.options {?"),
        (
            "function make(\n    a: number\n): Promise<Foo> {\n    if (a) {\n        return {\n            $0",
            "Promise<Foo> {?",
        ),
        ("function make(): Foo[] {\n    return [{\n        $0", "Foo[] {?"),
        ("const f = (a: number): Foo => ({\n    $0\n", "Foo {?"),
        ("foo({\n    a: 1\n}, {\n    b: $0", "foo(1)/b"),
        ("foo({\n    a: 1\n}, {\n    b: 2\n}, {\n    $0", "foo(2) {?"),
        ("x = Field(\n    null=True,\n    $0\n    blank=True,\n)", "Field(1) ?"),
        ("x = Field(1, null=$0)", "Field(null)"),
        ("self.pool = make.pool(\n    Thing(a, $0", "Thing(1) ?"),
        ("go(options={\n    'a': 1,\n    $0", "go(options) {?"),
        ("return this.service\n    .get<Foo>(1)\n    .set({\n        $0\n", "this.service.get().set(0) {?"),
        ("func f() {\n\ts := &http.Server{\n\t\tAddr: 1,\n\t\t$0\n", "http.Server {?"),
        ("super(a, $0", "super(1) ?"),
        ("@Component({\n    $0", "Component(0) {?"),
    ],
)
def test_what_a_value_belongs_to_is_read_from_the_brackets_around_it(text: str, slot: str) -> None:
    assert known(at(text)) == slot


@pytest.mark.parametrize(
    "text",
    [
        "$0",
        "if (x) {\n    $0",
        "class A:\n    def f(self,\n          $0",
        "class A:\n    def f(self):\n        if x:\n            $0",
        "function f(a: number, $0",
        "interface A {\n    x: {\n        $0",
        "for (const a of b) {\n    $0",
        "const { a, $0 } = foo",
        "bus.on('x', (a) => {\n    $0",
        "foo(a);\n$0",
        "xs[$0",
        "while (go($0".replace("go", ""),
        "const f = () => {\n    $0",
        "class Foo {\n    $0",
        "))))((((}}}}\n$0",
    ],
)
def test_where_statements_are_written_there_is_none(text: str) -> None:
    assert at(text) is None


def test_of_ten_thousand_open_brackets_the_innermost_are_read_in_little_memory() -> None:
    rows = "\n".join(" " * number + "(" * 900 for number in range(12))
    tracemalloc.start()
    try:
        assert known(at(f"{rows}\n{' ' * 20}show(a, $0")) == "show(1) ?"
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_what_is_there_already_is_known_whether_it_stands_before_or_after_the_cursor() -> None:
    slot = at("foo({\n    one: 1,\n    two,\n    $0\n    three: {\n        inner: 1,\n    },\n});\nfour: 4")
    assert slot is not None
    assert {"one", "two", "three"} <= slot.taken
    assert not {"inner", "four"} & slot.taken


def test_the_tag_of_an_element_takes_props() -> None:
    text = "return <div>\n    <Tree size={() => { go(a > 1); }} label='>'\n        $0"
    assert known(at(text, has_elements=True)) == "Tree(0) {?"
    assert (at(text, has_elements=True) or Slot()).taken == {"size", "label"}
    assert at(text.replace("$0", "> $0"), has_elements=True) is None
    assert at("const x: Array<Foo$0", has_elements=True) is None


@pytest.mark.parametrize(
    ("language", "text", "name", "expected"),
    [
        ("typescript", "    register(...colors: Color[]): void;", "register", [("colors", "Color[]", True)]),
        (
            "typescript",
            "constructor(@inject(A) readonly a: A<B, C>, b?: (x: number) => void = f, { c }: Opt = {})",
            "constructor",
            [("a", "A<B, C>", False), ("b", "(x: number) => void", False), ("", "Opt", False)],
        ),
        (
            "python",
            "@cache\ndef go(self, a, b: int = 3, *args: X, c: C | None = None) -> Z: ...",
            "go",
            [("a", "", False), ("b", "int", False), ("args", "X", True), ("c", "C | None", False)],
        ),
        ("go", "func (s *S) Do(a int, c ...string) error", "Do", [("a", "a int", False), ("c", "c ...string", False)]),
        ("python", "def other(a): ...", "go", []),
        ("python", "def go(a", "go", []),
    ],
)
def test_parameters_of_a_signature(language: str, text: str, name: str, expected: list[tuple[str, str, bool]]) -> None:
    spoken = by_id(language)
    assert spoken is not None
    assert list(parameters(text, name, spoken)) == [Parameter(*item) for item in expected]
