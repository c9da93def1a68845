# ruff: noqa: E501 (code in strings)
from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import bound, defined, imported, leads
from tests.repo_context.repository import check

SOURCE = """
package com.shop;
import com.shop.model.Item;
import com.shop.util.*;
import static com.shop.Tools.cut;
import static com.shop.Tools.*;
import com.shop.Outer.Inner;
@Service
public abstract class Store<T extends Foo> extends Base<T> implements Named, ns.Other<T> {
    private final Logger log, two = Factory.make();
    static final int MAX = 3;
    @Autowired private Map<String, Item> items;
    public Store(Logger log) { this.log = log; }
    @Override
    public List<Item> find(int id, Foo... rest) throws IOException {
        var x = new Thing(1);
        Conf c = other.get();
        for (Item i : items) { i.x(); }
        try (Reader r = open()) { } catch (MyError | Other e) { }
        if (x instanceof Circle k) { }
        rest.map((Zed z) -> z.q());
        rest.map(z -> z.q());
        Foo f = (Foo) x;
        return null;
    }
    abstract void run();
    static class Nested { int deep; }
    interface Cb { void call(); }
    class InnerC {}
}
interface Named extends A, B<String> { String NAME = "x"; String name(); default int n() { return 1; } }
enum Level implements HasLabel { LOW(1), HIGH { void x() {} }; private final int v; Level(int v) { this.v = v; } }
record Point(int x, Addr home) implements Shape { Point { } int sum() { return 1; } }
@interface Ann { String value() default ""; }
sealed interface S permits A {}
"""


def test_definitions():
    assert defined("src/com/shop/Store.java", SOURCE) == snapshot("""\
@Service
public abstract class Store<T extends Foo> extends Base<T> implements Named, ns.Other<T>  | class Store (Base, Named, Other)
private final Logger log, two = Factory.make();  | attribute log of Store -> Logger
private final Logger log, two = Factory.make();  | attribute two of Store -> Logger
static final int MAX = 3;  | attribute MAX of Store -> int
@Autowired private Map<String, Item> items;  | attribute items of Store -> Map<String,Item>
public Store(Logger log);  | method Store of Store
@Override
    public List<Item> find(int id, Foo... rest) throws IOException;  | method find of Store -> List<Item>
abstract void run();  | method run of Store
static class Nested  | class Nested of Store
int deep;  | attribute deep of Nested -> int
interface Cb  | class Cb of Store
void call();  | method call of Cb
class InnerC  | class InnerC of Store
interface Named extends A, B<String>  | class Named (A, B)
String NAME = "x";  | attribute NAME of Named -> String
String name();  | method name of Named -> String
default int n();  | method n of Named -> int
enum Level implements HasLabel  | class Level (HasLabel)
LOW(1)  | attribute LOW of Level
HIGH { void x() {} }  | attribute HIGH of Level
private final int v;  | attribute v of Level -> int
Level(int v);  | method Level of Level
record Point(int x, Addr home) implements Shape  | class Point (Shape)
int x  | attribute x of Point -> int
Addr home  | attribute home of Point -> Addr
int sum();  | method sum of Point -> int
@interface Ann  | class Ann
String value() default "";  | method value of Ann -> String
sealed interface S permits A  | class S\
""")


def test_imports():
    assert imported("src/com/shop/Store.java", SOURCE) == snapshot(
        [
            ("com.shop.model.Item", "Item", "Item"),
            ("com.shop.util", "*", ""),
            ("com.shop.Tools", "cut", "cut"),
            ("com.shop.Tools", "*", ""),
            ("com.shop.Outer.Inner", "Inner", "Inner"),
        ]
    )


def test_bindings():
    assert bound("src/com/shop/Store.java", SOURCE) == snapshot(
        [
            "this: Store [7-30]",
            "log: Logger [12-13]",
            "id: int [14-25]",
            "rest: Foo [14-25]",
            "x: =Thing() [15-25]",
            "c: Conf [16-25]",
            "i: Item [17-18]",
            "r: Reader [18-25]",
            "e: MyError|Other [18-19]",
            "k: Circle [19-25]",
            "z: Zed [20-21]",
            "f: Foo [22-25]",
            "this: Nested [26-27]",
            "this: Cb [27-28]",
            "this: InnerC [28-29]",
            "this: Named [30-31]",
            "this: Level [31-32]",
            "v: int [31-32]",
            "this: Point [32-33]",
            "x: int [32-33]",
            "home: Addr [32-33]",
            "this: Ann [33-34]",
            "this: S [34-35]",
        ]
    )


FILES = {
    "core/src/main/java/com/shop/Tools.java": "",
    "core/src/main/java/com/shop/model/Item.java": "",
    "core/src/test/java/com/shop/model/ItemTest.java": "",
    "app/src/main/java/com/shop/model/Local.java": "",
}


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("com.shop.model.Item", ["core/src/main/java/com/shop/model/Item.java"]),
        ("com.shop.Tools.Inner", ["core/src/main/java/com/shop/Tools.java"]),
        (
            "com.shop.model",
            [
                "app/src/main/java/com/shop/model/Local.java",
                "core/src/main/java/com/shop/model/Item.java",
                "core/src/test/java/com/shop/model/ItemTest.java",
            ],
        ),
        ("java.util", []),
        ("java.util.List", []),
    ],
)
def test_classes_and_packages(module: str, files: list[str]):
    assert leads(FILES, "app/src/main/java/com/shop/Main.java", module) == files


def test_classes_and_methods_of_classes_are_found():
    found = check(
        {
            "src/com/shop/Outer.java": "package com.shop;\npublic class Outer {\n  public static class Inner { int size; }\n  static int cut(int n) { return n; }\n}\n",
            "src/com/other/Main.java": "package com.other;\nimport com.shop.Outer.Inner;\nimport static com.shop.Outer.cut;\nclass Main {\n  void run(Inner inner) {\n    cut(inner.$0);\n  }\n}\n",
        }
    )
    assert "static class Inner" in found
    assert "int size;" in found
    assert "static int cut(int n);" in found
