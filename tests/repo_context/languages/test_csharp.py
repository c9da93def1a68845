# ruff: noqa: E501 (code in strings)
from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import bound, defined, imported, leads
from tests.repo_context.repository import check

SOURCE = """
using System;
using Shop.Models;
using static Shop.Tools.Cutter;
using Alias = Shop.Other.Thing;
global using Shop.Everywhere;
namespace Shop.App;

[Attr]
public abstract partial class Store<T> : Base<T>, INamed, Ns.IOther where T : class
{
    private readonly ILogger<Store> _log, _two;
    public const int Max = 3;
    public event EventHandler Changed;
    public string Name { get; set; } = "";
    public Conf Conf => _conf;
    public T this[int i] => items[i];
    public Store(ILogger log, int n = 3) : base(n) { _log = log; }
    public async Task<Foo> AddAsync(T item, params Bar[] rest)
    {
        var x = new Thing(1);
        Conf c = other.Get();
        var y = await client.GetAsync<Foo>(1);
        using var s = File.Open("x");
        foreach (var i in items) { i.x(); }
        foreach (Item j in items) { j.x(); }
        if (x is Circle k) { }
        rest.Select((Zed z) => z.q());
        Foo z2 = new();
        var cast = (Foo)x; var cc = x as Foo;
        void Local(Foo f) { }
        return new Foo();
    }
    protected abstract void Run(Dictionary<string, int> d);
    public static Store<T> operator +(Store<T> a, Store<T> b) => a;
    public int Twice(int n) => n * 2;
    ~Store() { }
    public class Inner { public int X; }
    public delegate void Handler(object o);
}
public interface INamed : IFoo { string Name { get; } Foo Get(int x); }
public enum Level { Low = 1, High }
public record Person(string First, Addr Home) : Base(First);
public record struct Point { public int X { get; init; } }
public struct S : IFoo { public int A; }
namespace Q { namespace R { class Deep { } } }
public static class Ext { public static Foo Cut(this Store<int> s, int n) => new Foo(); }
public class Primary(ILogger log, Db db) : Base(db) { }
"""


def test_definitions():
    assert defined("Shop/Store.cs", SOURCE) == snapshot("""\
namespace Shop.App  | namespace Shop.App
[Attr]
public abstract partial class Store<T> : Base<T>, INamed, Ns.IOther where T : class  | class Store (Base, INamed, IOther)
private readonly ILogger<Store> _log, _two;  | attribute _log of Store -> ILogger<Store>
private readonly ILogger<Store> _log, _two;  | attribute _two of Store -> ILogger<Store>
public const int Max = 3;  | attribute Max of Store -> int
public event EventHandler Changed;  | attribute Changed of Store -> EventHandler
public string Name { get; set; } = "";  | attribute Name of Store -> string
public Conf Conf;  | attribute Conf of Store -> Conf
public Store(ILogger log, int n = 3) : base(n);  | method Store of Store
public async Task<Foo> AddAsync(T item, params Bar[] rest);  | method AddAsync of Store -> Task<Foo>
protected abstract void Run(Dictionary<string, int> d);  | method Run of Store
public int Twice(int n);  | method Twice of Store -> int
public class Inner  | class Inner of Store
public int X;  | attribute X of Inner -> int
public delegate void Handler(object o);  | type Handler of Store
public interface INamed : IFoo  | class INamed (IFoo)
string Name { get; }  | attribute Name of INamed -> string
Foo Get(int x);  | method Get of INamed -> Foo
public enum Level  | class Level
Low = 1  | attribute Low of Level
High  | attribute High of Level
public record Person(string First, Addr Home) : Base(First)  | class Person (Base)
string First  | attribute First of Person -> string
Addr Home  | attribute Home of Person -> Addr
public record struct Point  | class Point
public int X { get; init; }  | attribute X of Point -> int
public struct S : IFoo  | class S (IFoo)
public int A;  | attribute A of S -> int
namespace Q  | namespace Q
namespace R  | namespace Q.R
class Deep  | class Deep
public static class Ext  | class Ext
public static Foo Cut(this Store<int> s, int n);  | method Cut of Ext -> Foo
public class Primary(ILogger log, Db db) : Base(db)  | class Primary (Base)\
""")


def test_imports():
    assert imported("Shop/Store.cs", SOURCE) == snapshot(
        [
            ("System", "*", ""),
            ("Shop.Models", "*", ""),
            ("Shop.Tools.Cutter!", "*", ""),
            ("Shop.Other", "Thing", "Alias"),
            ("Shop.Everywhere", "*", ""),
            ("Shop.App", "*", ""),
            ("Shop", "*", ""),
            ("Q", "*", ""),
            ("R", "*", ""),
        ]
    )


def test_bindings():
    assert bound("Shop/Store.cs", SOURCE) == snapshot(
        [
            "this: Store [8-40]",
            "i: int [16-40]",
            "log: ILogger [17-18]",
            "n: int [17-18]",
            "item: T [18-33]",
            "rest: Bar[] [18-33]",
            "x: =Thing() [20-33]",
            "c: Conf [21-33]",
            "y: =client.GetAsync() [22-33]",
            "s: =File.Open() [23-33]",
            "i: =items[] [24-25]",
            "j: Item [25-26]",
            "k: Circle [26-33]",
            "z: Zed [27-28]",
            "z2: Foo [28-33]",
            "cast: Foo [29-33]",
            "cc: Foo [29-33]",
            "f: Foo [30-31]",
            "d: Dictionary<string,int> [33-34]",
            "a: Store<T> [34-40]",
            "b: Store<T> [34-40]",
            "n: int [35-36]",
            "this: Inner [37-38]",
            "o: object [38-40]",
            "this: INamed [40-41]",
            "x: int [40-41]",
            "this: Level [41-42]",
            "this: Person [42-43]",
            "First: string [42-43]",
            "Home: Addr [42-43]",
            "this: Point [43-44]",
            "this: S [44-45]",
            "this: Deep [45-46]",
            "this: Ext [46-47]",
            "s: Store<int> [46-47]",
            "n: int [46-47]",
            "this: Primary [47-48]",
            "log: ILogger [47-48]",
            "db: Db [47-48]",
        ]
    )


FILES = {
    "Models/Item.cs": "namespace Shop.Models { public class Item { } }",
    "Models/Other.cs": "namespace Shop { namespace Models { class Other { } } }",
    "Far/Away.cs": "namespace Shop.Models;\nclass Away { }",
    "Tools/Cutter.cs": "namespace Shop.Tools;\nclass Cutter { }",
    "Tools/Saw.cs": "namespace Shop.Tools;\nclass Saw { }",
}


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("Shop.Models", ["Models/Item.cs", "Models/Other.cs", "Far/Away.cs"]),
        ("Shop.Tools.Cutter!", ["Tools/Cutter.cs"]),
        ("Shop.Tools.None!", []),
        ("System", []),
        ("", []),
    ],
)
def test_namespaces(module: str, files: list[str]):
    assert sorted(leads(FILES, "Models/Main.cs", module)) == sorted(files)
    assert leads(FILES, "Models/Main.cs", module)[:1] == files[:1]


def test_a_whole_repository():
    assert check(
        {
            "Models/Item.cs": "namespace Shop.Models;\n\npublic class Item\n{\n    public int Cents;\n    public void Rename(string to)\n    {\n    }\n}\n",
            "App/Main.cs": "using Shop.Models;\n\nclass Main\n{\n    void Run(Item item)\n    {\n        item.$0\n    }\n}\n",
        }
    ) == snapshot("""\
== Models/Item.cs
public class Item {
    public int Cents;
    public void Rename(string to);
}
""")
