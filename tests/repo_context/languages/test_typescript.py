# ruff: noqa: E501 (code in strings)
from __future__ import annotations

import json

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import bound, defined, imported, leads
from tests.repo_context.repository import check


def test_members_of_a_class():
    assert defined(
        "a.ts",
        """
export abstract class Store<T> extends ns.Base<T> implements Named, Other<T> {
  private items: T[] = [];
  static readonly inst = new Store<string>('x');
  #secret?: Foo;
  handler = (e: Event): Result => { };
  constructor(private readonly path: string, public log = new Logger(), plain: Foo) { super(); this.plain = plain; }
  get size(): number { return 1; }
  add(item: T): this { let local: { hidden: string }; return this; }
  abstract load(options: { deep: boolean }): Promise<T>;
  over(a: string): void;
  over(a: any) { }
}
""",
    ) == snapshot("""\
abstract class Store<T> extends ns.Base<T> implements Named, Other<T>  | class Store (Base, Named, Other)
private items: T[] = []  | attribute items of Store -> T[]
static readonly inst = new Store<string>('x')  | attribute inst of Store -> =Store()
#secret?: Foo  | attribute #secret of Store -> Foo
handler = (e: Event): Result => ...  | method handler of Store -> Result
constructor(private readonly path: string, public log = new Logger(), plain: Foo);  | method constructor of Store
private readonly path: string  | attribute path of Store -> string
public log = new Logger()  | attribute log of Store -> =Logger()
this.plain = plain  | attribute plain of Store -> Foo
get size(): number;  | method size of Store -> number
add(item: T): this;  | method add of Store -> Store
abstract load(options: { deep: boolean }): Promise<T>  | method load of Store -> Promise<T>
over(a: string): void  | method over of Store
over(a: any);  | method over of Store\
""")


def test_interfaces_enums_and_object_types():
    assert defined(
        "a.ts",
        """
export interface User extends Named, ns.Other<string> { id: number; rename?: (to: string) => void; call(x: Foo): Bar; new (x: number): User }
export const enum Level { Low = 1, High }
export type Options = { a: string; b?: Foo; run(x: number): Bar };
export type Id = User | string;
""",
    ) == snapshot("""\
interface User extends Named, ns.Other<string>  | class User (Named, Other)
id: number  | attribute id of User -> number
rename?: (to: string) => void  | attribute rename of User
call(x: Foo): Bar  | method call of User -> Bar
new (x: number): User  | method new of User -> User
const enum Level  | class Level
Low = 1  | attribute Low of Level
High  | attribute High of Level
type Options =  | class Options
a: string  | attribute a of Options -> string
b?: Foo  | attribute b of Options -> Foo
run(x: number): Bar  | method run of Options -> Bar
type Id = User | string;  | type Id -> User|string\
""")


def test_functions_constants_and_objects():
    assert defined(
        "a.ts",
        """
export const make = async (a: Foo): Promise<Bar> => { };
const plain = function (a) { return { inner: 1 }; };
export const table = { one: new One(), two: 2, run(x: number): Res { return 1 }, later: (x) => { x } } as const;
export const settings: Settings = { x: 1 };
const client: Client = connect();
declare const outside: Foo;
declare module 'ext' { export function ext(): Foo }
export namespace N.M { export const inner = new Inner(); }
export function over(a: string): a is string;
export default class extends Foo { run() {} }
""",
    ) == snapshot("""\
const make = async (a: Foo): Promise<Bar> => ...  | function make -> Promise<Bar>
const plain = function (a);  | function plain
const table =  | class table
one: new One()  | attribute one of table -> =One()
two: 2  | attribute two of table
run(x: number): Res;  | method run of table -> Res
later: (x) => ...  | method later of table
const settings: Settings =  | class settings -> Settings
x: 1  | attribute x of settings
const client: Client = connect();  | constant client -> Client
declare const outside: Foo;  | constant outside -> Foo
module 'ext'  | namespace ext
function ext(): Foo  | function ext -> Foo
namespace N.M  | namespace N.M
const inner = new Inner();  | constant inner -> =Inner()
function over(a: string): a is string;  | function over
export default class extends Foo  | class default
run();  | method run of default\
""")


def test_a_table_of_data_does_not_fill_the_index():
    text = "export const table = {" + ",".join(f"key{n}: {n}" for n in range(5000)) + "};\n"
    assert defined("a.ts", text).count("\n") == 300


def test_javascript():
    assert defined(
        "a.js",
        """
class A extends B.C { x = new Foo(); #y = 1; constructor() { this.z = new Bar(1); } m() {} }
A.prototype.foo = function (x) { };
exports.q = (a) => { };
module.exports.w = function () {};
module.exports = class Zed { run() {} };
const Comp = ({ a }) => { return 1 };
const Late = class extends A { go() {} };
function* numbers() { yield 1 }
""",
    ) == snapshot("""\
class A extends B.C  | class A (C)
x = new Foo()  | attribute x of A -> =Foo()
#y = 1  | attribute #y of A
constructor();  | method constructor of A
this.z = new Bar(1)  | attribute z of A -> =Bar()
m();  | method m of A
A.prototype.foo = function (x);  | method foo of A
exports.q = (a) => ...  | function q
module.exports.w = function ();  | function w
module.exports = class Zed  | class Zed
run();  | method run of Zed
const Comp = ({ a }) => ...  | function Comp
const Late = class extends A  | class Late (A)
go();  | method go of Late
function* numbers();  | function numbers\
""")


def test_imports_and_exports():
    assert imported(
        "a.ts",
        """
import def, { A, type B as C } from './a';
import type { T } from './t';
import * as ns from "./ns";
import fs = require('fs');
export { default } from './d';
export { default as Foo, bar } from './foo';
export * from './star';
export * as nsx from './nsx';
const lazy = await import('./lazy');
const { x: y } = require('./x');
export { local as renamed };
export default main;
""",
    ) == snapshot(
        [
            ("./a", "A", "A"),
            ("./a", "B", "C"),
            ("./a", "default", "def"),
            ("./t", "T", "T"),
            ("./ns", "", "ns"),
            ("fs", "", "fs"),
            ("./d", "default", "default"),
            ("./foo", "default", "Foo"),
            ("./foo", "bar", "bar"),
            ("./star", "*", ""),
            ("./nsx", "", "nsx"),
            ("./lazy", "", "lazy"),
            ("./x", "x", "y"),
            ("", "local", "renamed"),
            ("", "main", "default"),
        ]
    )


def test_bindings():
    assert bound(
        "a.ts",
        """
class Store {
  run({ a, b }: Props, c?: Foo, ...rest: Bar[]) {
    const { d, e: f } = this.conf;
    for (const item of this.items) { }
    let w: Foo<Bar> = other();
    const v = (await fetch(w)).body;
    rest.forEach((el: Zed) => {
      el;
    });
  }
}
""",
    ) == snapshot(
        [
            "this: Store [1-12]",
            "c: Foo [2-11]",
            "rest: Bar[] [2-11]",
            "a: =Props().a [2-11]",
            "b: =Props().b [2-11]",
            "d: =this.conf.d [3-11]",
            "f: =this.conf.e [3-11]",
            "item: =this.items[] [4-5]",
            "w: =other() [5-11]",
            "v: =fetch().body [6-11]",
            "el: Zed [7-10]",
        ]
    )


def test_jsx_and_tsx_are_read():
    assert defined("a.jsx", "export function Box(p) { return <b>{p.x}</b>; }\n") == snapshot(
        "function Box(p);  | function Box"
    )
    assert defined("a.tsx", "export const Box: FC<Props> = (p) => <b>{p.x}</b>;\n") == snapshot(
        "const Box: FC<Props> = (p) => ...  | function Box -> FC<Props>"
    )


def test_what_a_file_exports_by_another_name_is_found():
    found = check(
        {
            "a.ts": "function first() {}\nfunction build(n: number): Foo {}\nfunction other() {}\nexport default build;\nexport { other as renamed };\n",
            "b.ts": "import make, { renamed } from './a';\n\nmake(renamed($0));\n",
        }
    )
    assert "function build(n: number): Foo" in found
    assert "function other()" in found


FILES = {
    "src/a.ts": "",
    "src/b/index.tsx": "",
    "src/c.d.ts": "",
    "src/d.js": "",
    "src/e.component.ts": "",
    "src/f.mts": "",
}


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("./a", "src/a.ts"),
        ("./a.js", "src/a.ts"),
        ("./b", "src/b/index.tsx"),
        ("../src/b/", "src/b/index.tsx"),
        ("./c", "src/c.d.ts"),
        ("./d.js", "src/d.js"),
        ("./e.component", "src/e.component.ts"),
        ("./f.mjs", "src/f.mts"),
        (".", None),
        ("./missing", None),
        ("../../outside", None),
        ("react", None),
    ],
)
def test_relative_modules(module: str, file: str | None):
    assert leads(FILES, "src/main.ts", module) == ([file] if file else [])


def test_paths_of_an_extended_tsconfig_belong_to_its_folder():
    files = {
        "tsconfig.base.json": '{"compilerOptions": {"baseUrl": "libs", "paths": {"@x/*": ["x/src/*"], "@x/one": ["one"]}}}',
        "apps/web/tsconfig.json": '{"extends": ["../../tsconfig.base"], /* a */ "compilerOptions": {"strict": true,},}',
        "libs/x/src/tool.ts": "",
        "libs/one.ts": "",
        "libs/plain.ts": "",
    }
    assert leads(files, "apps/web/main.ts", "@x/tool") == ["libs/x/src/tool.ts"]
    assert leads(files, "apps/web/main.ts", "@x/one") == ["libs/one.ts"]
    assert leads(files, "apps/web/main.ts", "plain") == ["libs/plain.ts"]


def test_paths_of_a_referred_tsconfig():
    files = {
        "tsconfig.json": '{"files": [], "references": [{"path": "./tsconfig.app.json"}]}',
        "tsconfig.app.json": '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}',
        "src/tool.ts": "",
    }
    assert leads(files, "src/main.ts", "@/tool") == ["src/tool.ts"]


@pytest.mark.parametrize("text", ['\\"', '"', '"\\', '"a\\', "/* ", "//", ",  "])
def test_settings_that_nothing_closes_are_read_in_one_go(text: str):
    """Looking for the end again and again would take minutes."""
    files = {"tsconfig.json": text * 100_000, "package.json": text * 100_000}
    assert leads(files, "main.ts", "x/y") == []


def test_a_tsconfig_that_extends_itself_is_no_trouble():
    files = {"tsconfig.json": '{"extends": "./tsconfig.json", "references": [{"path": "."}]}'}
    assert leads(files, "main.ts", "x/y") == []


def test_a_tsconfig_that_extends_itself_many_times_is_read_once():
    text = json.dumps({"extends": ["./tsconfig.json"] * 50, "compilerOptions": {"paths": {"#*": ["./src/*"]}}})
    assert leads({"tsconfig.json": text, "src/x.ts": ""}, "main.ts", "x/y") == []
    assert leads({"tsconfig.json": text, "src/x.ts": ""}, "main.ts", "#x") == ["src/x.ts"]


def test_of_very_many_places_only_the_first_are_tried():
    places = [f"./no{number}/*" for number in range(90)]
    for more, file in ((0, ["src/x.ts"]), (50_000, [])):
        paths = {"*": [*places, *["./no/*"] * more, "./src/*"]}
        text = json.dumps({"compilerOptions": {"paths": paths}})
        assert leads({"tsconfig.json": text, "src/x.ts": ""}, "main.ts", "x") == file


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"compilerOptions": []}', '{"compilerOptions": {"paths": []}}', "[" * 9999]
)
def test_broken_settings_are_no_trouble(text: str):
    files = {"tsconfig.json": text, "package.json": text, "a/package.json": text}
    assert leads(files, "a/main.ts", "x/y") == []
    assert leads(files, "a/main.ts", "#x") == []


PACKAGES = {
    "packages/core/package.json": '{"name": "@acme/core", "exports": {".": {"types": "./dist/main.d.ts"}, "./*": "./lib/*.js"}}',
    "packages/core/src/main.ts": "",
    "packages/core/src/deep/tool.ts": "",
    "packages/plain/package.json": '{"name": "plain", "main": "lib/start.js"}',
    "packages/plain/lib/start.js": "",
    "packages/plain/extra.js": "",
    "packages/bare/package.json": '{"name": "bare"}',
    "packages/bare/src/index.ts": "",
    "app/package.json": '{"name": "app", "imports": {"#util/*": "./src/util/*.js"}}',
    "app/src/util/text.ts": "",
}


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("@acme/core", "packages/core/src/main.ts"),
        ("@acme/core/deep/tool", "packages/core/src/deep/tool.ts"),
        ("plain", "packages/plain/lib/start.js"),
        ("plain/extra", "packages/plain/extra.js"),
        ("bare", "packages/bare/src/index.ts"),
        ("#util/text", "app/src/util/text.ts"),
        ("@acme/none", None),
        ("#none", None),
    ],
)
def test_packages_of_the_workspace(module: str, file: str | None):
    assert leads(PACKAGES, "app/src/main.ts", module) == ([file] if file else [])
