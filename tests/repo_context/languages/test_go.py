from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import bound, defined, imported, leads

SOURCE = """
package shop

import (
	"fmt"
	m "example.com/shop/model"
	. "example.com/dots"
	_ "example.com/side"
	"example.com/lib/v2"
)

const (
	Low Level = iota
	High
)
var Default = New(3)
var a, b int
var ErrX error = errors.New("x")
type Level int
type Alias = m.Item
type Handler func(w Writer) error
type Item struct {
	*Base
	m.Other
	Name, Title string `json:"x"`
	Conf *m.Config
	inner struct { x int }
	list []Thing
}
type Gen[T any] struct { v T }
type Source interface {
	io.Reader
	Fetch(id int) (Item, error)
	Close()
}
func New(n int) *Item { return nil }
func (i *Item) Rename(name string, opts ...Option) (*Item, error) {
	x := NewThing(1)
	var y m.Config
	var q = make([]Foo, 3)
	for i, v := range i.list { use(v) }
	z, err := Open(3)
	if k, ok := x.(*Circle); ok { }
	w := &Item{Name: "x"}
	fn := func(c Ctx) { c.x() }
	switch t := x.(type) { case *Foo: t.x() }
}
func (g *Gen[T]) Get() T { }
"""


def test_definitions():
    assert defined("shop/item.go", SOURCE) == snapshot("""\
Low Level = iota  | constant Low -> Level
High  | constant High
Default = New(3)  | constant Default -> =New()
a, b int  | constant a -> int
a, b int  | constant b -> int
ErrX error = errors.New("x")  | constant ErrX -> error
type Level int  | type Level -> int
type Alias = m.Item  | type Alias -> m.Item
type Handler func(w Writer) error  | type Handler -> func(wWriter)error
type Item struct  | class Item (Base, Other)
*Base  | attribute Base of Item -> Base
m.Other  | attribute Other of Item -> m.Other
Name, Title string `json:"x"`  | attribute Name of Item -> string
Name, Title string `json:"x"`  | attribute Title of Item -> string
Conf *m.Config  | attribute Conf of Item -> m.Config
inner struct { x int }  | attribute inner of Item
list []Thing  | attribute list of Item -> []Thing
type Gen[T any] struct  | class Gen
v T  | attribute v of Gen -> T
type Source interface  | class Source (Reader)
Fetch(id int) (Item, error)  | method Fetch of Source -> (Item,error)
Close()  | method Close of Source
func New(n int) *Item  | function New -> Item
func (i *Item) Rename(name string, opts ...Option) (*Item, error)  | method Rename of Item -> (*Item,error)
func (g *Gen[T]) Get() T  | method Get of Gen -> T\
""")


def test_imports():
    assert imported("shop/item.go", SOURCE) == snapshot(
        [
            ("fmt", "", "fmt"),
            ("example.com/shop/model", "", "m"),
            ("example.com/dots", "", "dots"),
            ("example.com/dots", "*", ""),
            ("example.com/side", "", "side"),
            ("example.com/lib/v2", "", "lib"),
        ]
    )


def test_bindings():
    assert bound("shop/item.go", SOURCE) == snapshot(
        [
            "Default: =New() [15-49]",
            "a: int [16-49]",
            "b: int [16-49]",
            "ErrX: =errors.New() [17-49]",
            "w: Writer [20-49]",
            "id: int [32-49]",
            "n: int [35-36]",
            "i: Item [36-47]",
            "name: string [36-47]",
            "opts: Option [36-47]",
            "x: =NewThing() [37-47]",
            "y: m.Config [38-47]",
            "q: []Foo [39-47]",
            "v: =i.list[] [40-41]",
            "z: =Open() [41-47]",
            "k: Circle [42-43]",
            "w: =Item() [43-47]",
            "fn:  [44-47]",
            "c: Ctx [44-45]",
            "g: Gen[T] [47-48]",
        ]
    )


FILES = {
    "go.mod": "// shop\nmodule example.com/shop // v1\n\nreplace example.com/lib v1.2.0 => ./third/lib\n",
    "prices/prices.go": "",
    "prices/prices_test.go": "",
    "prices/deep/deep.go": "",
    "third/lib/lib.go": "",
    "tools/go.mod": 'module "example.com/shop/tools"\n',
    "tools/cut/cut.go": "",
    "vendor/github.com/x/y/y.go": "",
}


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("example.com/shop/prices", ["prices/prices.go"]),
        ("example.com/shop/prices/deep", ["prices/deep/deep.go"]),
        ("example.com/shop", ["main.go"]),
        ("example.com/lib", ["third/lib/lib.go"]),
        ("example.com/shop/tools/cut", ["tools/cut/cut.go"]),
        ("github.com/x/y", ["vendor/github.com/x/y/y.go"]),
        ("example.com/shopping", []),
        ("fmt", []),
    ],
)
def test_packages(module: str, files: list[str]):
    assert leads(FILES, "main.go", module) == files


def test_a_workspace_of_modules():
    files = {
        "go.work": "go 1.22\n\nuse (\n\t./app\n\t./lib\n)\n\nreplace (\n\texample.com/old => ./fork/old\n)\n",
        "app/go.mod": "module example.com/app\n",
        "lib/go.mod": "module example.com/lib\n",
        "lib/text/text.go": "",
        "fork/old/old.go": "",
    }
    assert leads(files, "app/main.go", "example.com/lib/text") == ["lib/text/text.go"]
    assert leads(files, "app/main.go", "example.com/old") == ["fork/old/old.go"]


def test_a_go_mod_of_empty_lines_is_read_in_one_go():
    """Each line looked for a name in all that follow it."""
    files = {"go.mod": "\n" * 300_000 + "module a.b/c\nreplace a.b/d => ./d\n", "d/x.go": ""}
    assert leads(files, "main.go", "a.b/d") == ["d/x.go"]


def test_what_replaces_out_of_the_workspace_is_not_followed():
    files = {"go.mod": "module a.b/c\nreplace a.b/d => ../../outside\n", "outside/x.go": ""}
    assert leads(files, "main.go", "a.b/d") == []
