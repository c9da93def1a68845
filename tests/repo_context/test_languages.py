"""At least one case a language; a new language adds its own here."""

# ruff: noqa: E501 (files of a repository, one a line)
from __future__ import annotations

from inline_snapshot import snapshot

from tests.repo_context.repository import check


def test_typescript():
    assert check(
        {
            "src/model.ts": (
                "export interface User extends Named { id: number; rename(to: string): void }\n"
                "export type Id = string | number;\nexport enum Level { Low, High }\n"
                "export abstract class Store<T> {\n  private items: T[] = [];\n"
                "  constructor(private readonly path: string) {}\n"
                "  add(item: T): void { this.items.push(item); }\n  abstract load(): Promise<T>;\n}\n"
                "export const open = async (path: string): Promise<User> => { return null!; };\n"
            ),
            "src/lib/index.ts": "export * from '../model';\nexport { helper as aid } from './helper.js';\n",
            "src/lib/helper.ts": "export function helper(a: number): string { return ''; }\n",
            "src/main.ts": "import { User, Store, open, aid } from './lib';\n\nconst store = new Store<User>('x');\nstore.$0\n",
        }
    ) == snapshot("""\
== src/lib/helper.ts
function helper(a: number): string;

== src/model.ts
interface User extends Named {
    id: number
    rename(to: string): void
}
abstract class Store<T> {
  private items: T[] = []
  constructor(private readonly path: string);
  private readonly path: string
  add(item: T): void;
  abstract load(): Promise<T>
}
const open = async (path: string): Promise<User> => ...
""")


def test_typescript_paths_and_default_exports():
    assert check(
        {
            "tsconfig.json": '{ // comment\n "compilerOptions": { "baseUrl": ".", "paths": {"@app/*": ["src/*"],} } }',
            "src/widget.tsx": "export default class Widget extends Component { render() { return <b/>; } }\n",
            "src/tools.ts": "export function cut(a: string): string { return a; }\n",
            "app.tsx": "import Widget from '@app/widget';\nimport * as tools from 'src/tools';\n\ntools.cut($0\n",
        }
    ) == snapshot("""\
== src/tools.ts
function cut(a: string): string;

== src/widget.tsx
class Widget extends Component {
    render();
}
""")


def test_javascript():
    assert check(
        {
            "lib/store.js": "class Store { #size = 0; get size() { return 1; } add(item) {} }\nmodule.exports = { Store };\n",
            "lib/old.js": "exports.legacy = function (a, b) { return a; };\n",
            "main.mjs": "const { Store } = require('./lib/store');\nconst old = require('./lib/old');\nold.legacy(1, 2);\nnew Store().$0\n",
        }
    ) == snapshot("""\
== lib/old.js
exports.legacy = function (a, b);

== lib/store.js
class Store {
    #size = 0
    get size();
    add(item);
}
""")


def test_go():
    assert check(
        {
            "go.mod": "module example.com/shop\n\ngo 1.22\n",
            "prices/prices.go": (
                "package prices\n\nconst Limit = 3\n\ntype Item struct {\n\tName string\n\tCents int\n}\n\n"
                "type Source interface {\n\tFetch(id int) (Item, error)\n}\n\n"
                "// Total adds up.\nfunc Total(items []Item) int { return 0 }\n\n"
                "func (i *Item) Rename(name string) { i.Name = name }\n"
            ),
            "prices/prices_test.go": "package prices\n\nfunc TestTotal(t *testing.T) {}\n",
            "helper.go": 'package main\n\nfunc helper(n int) string { return "" }\n',
            "main.go": 'package main\n\nimport "example.com/shop/prices"\n\nfunc main() {\n\thelper(1)\n\tprices.Total(nil)\n\tvar item prices.Item\n\titem.$0\n}\n',
        }
    ) == snapshot("""\
== helper.go
func helper(n int) string

== prices/prices.go
Limit = 3
type Item struct {
	Name string
	Cents int
}
type Source interface {
	Fetch(id int) (Item, error)
}
func Total(items []Item) int
func (i *Item) Rename(name string)
""")


def test_rust():
    assert check(
        {
            "src/lib.rs": "pub mod store;\npub mod shapes;\n",
            "src/store.rs": (
                "pub struct Store<T> { pub items: Vec<T> }\nimpl<T> Store<T> {\n"
                "    pub fn new(size: usize) -> Self { todo!() }\n    pub fn add(&mut self, item: T) { }\n}\n"
                "pub trait Load: Sized { fn load(path: &str) -> Self; }\npub const LIMIT: usize = 3;\n"
            ),
            "src/shapes/mod.rs": "pub mod round;\n",
            "src/shapes/round.rs": "pub enum Shape { Circle(f64), Oval { a: f64, b: f64 } }\n",
            "src/main_work.rs": "use crate::{store::{Store, LIMIT as MOST}, shapes::round::*};\n\nfn work(shape: Shape) {\n    let store = Store::$0\n}\n",
        }
    ) == snapshot("""\
== src/shapes/round.rs
pub enum Shape {
    Circle(f64)
    Oval { a: f64, b: f64 }
}

== src/store.rs
pub struct Store<T> {
    pub items: Vec<T>
}
impl<T> Store<T> {
    pub fn new(size: usize) -> Self;
    pub fn add(&mut self, item: T);
}
pub const LIMIT: usize = 3;
""")


def test_java():
    assert check(
        {
            "src/main/java/com/shop/model/Item.java": (
                "package com.shop.model;\n\npublic class Item extends Base<String> implements Named {\n"
                "    private final int cents = 1;\n    public Item(int cents) { }\n"
                "    @Override\n    public String name() throws IOException { return null; }\n}\n"
            ),
            "src/main/java/com/shop/model/Base.java": "package com.shop.model;\npublic abstract class Base<T> { abstract T id(); }\n",
            "src/main/java/com/shop/Helper.java": "package com.shop;\nclass Helper { static int twice(int n) { return 2 * n; } }\n",
            "src/main/java/com/shop/Main.java": "package com.shop;\n\nimport com.shop.model.Item;\n\nclass Main {\n  void run(Item item) {\n    Helper.twice(1);\n    item.$0\n  }\n}\n",
        }
    ) == snapshot("""\
== src/main/java/com/shop/Helper.java
class Helper {
    static int twice(int n);
}

== src/main/java/com/shop/model/Base.java
public abstract class Base<T> {
    abstract T id();
}

== src/main/java/com/shop/model/Item.java
public class Item extends Base<String> implements Named {
    private final int cents = 1;
    public Item(int cents);
    @Override
    public String name() throws IOException;
}
""")


def test_c():
    assert check(
        {
            "include/list.h": (
                "#ifndef LIST_H\n#define LIST_H\n#define LIST_MAX 10\ntypedef struct list { int size; char *name; } list_t;\n"
                "int list_add(list_t *list, const char *name);\nlist_t *list_new(void);\nenum mode { FAST, SLOW };\n#endif\n"
            ),
            "src/main.c": '#include "list.h"\n#include <stdio.h>\n\nint main(void) {\n  list_t *list = list_new();\n  list_$0\n}\n',
        }
    ) == snapshot("""\
== include/list.h
#define LIST_MAX 10
typedef struct list list_t;
struct list {
    int size;
    char *name;
};
int list_add(list_t *list, const char *name);
list_t *list_new(void);
enum mode {
    FAST
    SLOW
};
""")


def test_cpp():
    assert check(
        {
            "src/shape.h": (
                "#pragma once\nnamespace geo {\nclass Shape : public Base {\n public:\n  explicit Shape(int sides);\n"
                "  virtual double area() const = 0;\n  std::string &name();\n  int sides() const { return sides_; }\n private:\n"
                "  int sides_;\n};\ntemplate <typename T> T largest(T a, T b) { return a; }\nusing Shapes = int;\n}\n"
            ),
            "src/main.cpp": '#include "shape.h"\n\nint main() {\n  geo::Shape *shape = make();\n  shape->$0\n}\n',
        }
    ) == snapshot("""\
== src/shape.h
namespace geo {
class Shape : public Base {
  explicit Shape(int sides);
  virtual double area() const = 0;
  std::string &name();
  int sides() const;
  int sides_;
};
template <typename T> T largest(T a, T b);
using Shapes = int;
}
""")


def test_a_language_without_a_grammar_has_no_context():
    assert check({"a.py": "def compute(): ...\n", "b.lua": "compute()$0\n"}) == ""
