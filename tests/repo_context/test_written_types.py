from __future__ import annotations

import pytest

from coderls.repo_context.written_types import MAX_LENGTH, annotation, element, expression, member

ANNOTATIONS = {
    ": Foo": "Foo",
    '"Client"': "Client",
    "Optional[ Client ]": "Optional[Client]",
    "const Shape *": "Shape",
    "&'a mut Store<T>": "Store<T>",
    "*Item": "Item",
    "-> list[User] | None": "list[User]|None",
    "?\\App\\User": "\\App\\User",
    "std::unique_ptr<Shape> &": "std::unique_ptr<Shape>",
    "dyn Load": "Load",
    "in_range": "in_range",
    "": "",
    "x" * (MAX_LENGTH + 1): "",
}


@pytest.mark.parametrize(("text", "wanted"), ANNOTATIONS.items())
def test_annotations(text: str, wanted: str):
    assert annotation(text) == wanted


EXPRESSIONS = {
    "Client(url, timeout=3)": "=Client()",
    "await new Client<string>(1)": "=Client()",
    "new Client": "=Client()",
    "Shop::Client.new(1).get": "=Shop.Client().get",
    "httpx.Client().stream(')')": "=httpx.Client().stream()",
    "self.pool.get(1)[0]": "=self.pool.get()[]",
    "this.pool?.get(1)!.first": "=this.pool.get().first",
    "$this->pool?->get(1)": "=this.pool.get()",
    "@client.get": "=self.client.get",
    "Store::<u8>::new(3)?": "=Store()",
    "&Item{Name: x}": "=Item()",
    "Store { size: 1 }": "=Store()",
    "headers or {}": "=headers",
    "a ?? new B()": "=a",
    "one if two else three": "=one",
    "(await get()).body": "=get().body",
    "(x as Foo).bar": "=Foo().bar",
    "x as Foo<Bar>": "Foo<Bar>",
    "x as const": "",
    "(Foo *) malloc(3)": "Foo",
    "(Foo) other.get()": "Foo",
    "(foo)(1)": "=foo()",
    "shape.(*Circle)": "Circle",
    "std::make_unique<Shape>(1)": "Shape",
    "static_cast<Shape*>(x)": "Shape",
    "\\App\\User::find(1)": "=App.User.find()",
    "make([]Foo, 3)": "[]Foo",
    "new(Foo)": "Foo",
    "a + b": "",
    "a ? b : c": "",
    "x => x.y": "",
    "async (x) => y": "",
    "function () {}": "",
    "'text'": "",
    "[1, 2]": "",
    "None": "",
    "12": "",
    "": "",
    "f(": "=f()",
    "a < b": "",
}


@pytest.mark.parametrize(("text", "wanted"), EXPRESSIONS.items())
def test_expressions(text: str, wanted: str):
    assert expression(text) == wanted


def test_what_gives_back_what_it_is_called_on_is_left_out():
    transparent = frozenset({"unwrap", "await"})
    assert expression("open(x).await.unwrap()", transparent) == "=open()"
    assert expression("unwrap()", transparent) == "=unwrap()"


def test_elements_and_members():
    assert element("=self.users") == "=self.users[]"
    assert element("") == ""
    assert member("=this.conf", "port") == "=this.conf.port"
    assert member("Props<T>", "port") == "=Props().port"
    assert member("", "port") == ""


@pytest.mark.parametrize("text", ["(" * 10_000, "a." * 10_000, "a<" * 10_000, "a(" * 10_000, "new " * 999])
def test_strange_texts_have_no_type(text: str):
    assert len(expression(text)) <= MAX_LENGTH
    assert annotation(text) == ""
