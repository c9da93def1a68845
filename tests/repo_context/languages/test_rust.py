from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from coderls.repo_context.languages.rust import read_import
from tests.repo_context.languages.shown import bound, defined, imported, leads

SOURCE = """
use std::sync::Arc;
pub use crate::a::B;
extern crate foo as bar;
pub mod deep;
#[path = "odd.rs"]
mod odd;
#[derive(Debug)]
pub struct Store<T> { pub items: Vec<T>, conf: Arc<Config> }
pub struct Tuple(pub u8, Foo);
struct Unit;
pub enum Shape { Circle(f64), Oval { a: f64 }, None }
impl<T> Store<T> {
    pub const MAX: usize = 3;
    pub fn new(size: usize) -> Self { let x = 1; Self { } }
    pub async fn add(&mut self, item: T) -> Result<Foo, Error> {
        let conf = self.conf.clone();
        let mut it: Option<Item> = None;
        let w = Writer::open("x")?.lock().unwrap();
        for i in self.items.iter() { i; }
        if let Some(v) = self.get() { v; }
        let f = |q: &Quux| q.x();
        let l = Point { x: 1 };
        match x { Shape::Circle(r) => r }
    }
}
impl Load for Store<u8> { type Out = Foo; fn load(path: &str) -> Self { } }
impl fmt::Display for Shape { fn fmt(&self) {} }
impl<T> Load for Vec<T> {}
impl<'a> crate::x::Deep<'a> { fn d() {} }
pub trait Load: Sized + crate::T2 { const N: u8; fn load(path: &str) -> Self; fn dft(&self) -> u8 { 1 } }
pub type Res<T> = Result<T, Error>;
pub static GLOBAL: Lazy<Config> = Lazy::new(|| x());
macro_rules! my { () => {} }
mod inner { pub fn f() -> Foo {} }
pub union U { a: u8 }
#[cfg(test)]
mod tests { use super::*; #[test] fn t() {} }
"""


def test_definitions():
    assert defined("src/work.rs", SOURCE) == snapshot("""\
pub struct Store<T>  | class Store
pub items: Vec<T>  | attribute items of Store -> Vec<T>
conf: Arc<Config>  | attribute conf of Store -> Arc<Config>
pub struct Tuple(pub u8, Foo);  | type Tuple
struct Unit;  | type Unit
pub enum Shape  | class Shape
Circle(f64)  | attribute Circle of Shape
Oval { a: f64 }  | attribute Oval of Shape
None  | attribute None of Shape
impl<T> Store<T>  | class Store
pub const MAX: usize = 3;  | constant MAX of Store -> usize
pub fn new(size: usize) -> Self;  | method new of Store -> Store
pub async fn add(&mut self, item: T) -> Result<Foo, Error>;  | method add of Store -> Result<Foo,Error>
impl Load for Store<u8>  | class Store (Load)
type Out = Foo;  | type Out of Store -> Foo
fn load(path: &str) -> Self;  | method load of Store -> Store
impl fmt::Display for Shape  | class Shape (Display)
fn fmt(&self);  | method fmt of Shape
impl<T> Load for Vec<T>  | class Vec (Load)
impl<'a> crate::x::Deep<'a>  | class Deep
fn d();  | method d of Deep
pub trait Load: Sized + crate::T2  | class Load (Sized, T2)
const N: u8;  | constant N of Load -> u8
fn load(path: &str) -> Self;  | method load of Load -> Load
fn dft(&self) -> u8;  | method dft of Load -> u8
pub type Res<T> = Result<T, Error>;  | type Res -> Result<T,Error>
pub static GLOBAL: Lazy<Config> = Lazy::new(|| x());  | constant GLOBAL -> Lazy<Config>
macro_rules! my { () => {} }  | constant my
mod inner  | namespace inner
pub fn f() -> Foo;  | function f -> Foo
pub union U  | class U
a: u8  | attribute a of U -> u8
mod tests  | namespace tests
fn t();  | function t\
""")


def test_imports():
    assert imported("src/work.rs", SOURCE) == snapshot(
        [
            ("std::sync", "Arc", "Arc"),
            ("crate::a", "B", "B"),
            ("foo", "", "bar"),
            ("self", "deep", "deep"),
            ("self", "odd", "odd"),
            ("self", "*", ""),
        ]
    )


def test_bindings():
    assert bound("src/work.rs", SOURCE) == snapshot(
        [
            "self: Store [8-9]",
            "self: Shape [11-12]",
            "self: Store [12-26]",
            "size: usize [14-15]",
            "x:  [14-15]",
            "item: T [15-25]",
            "conf: =self.conf [16-25]",
            "it: Option<Item> [17-25]",
            "w: =Writer.open() [18-25]",
            "i: =self.items[] [19-20]",
            "v: =self.get() [20-21]",
            "f:  [21-25]",
            "q: Quux [21-22]",
            "l: =Point() [22-25]",
            "self: Store [26-27]",
            "path: str [26-27]",
            "self: Shape [27-28]",
            "self: Vec [28-29]",
            "self: Deep [29-30]",
            "self: Load [30-31]",
            "path: str [30-39]",
            "self: U [35-36]",
        ]
    )


def test_use_trees():
    assert [(entry.module, entry.name, entry.alias) for entry in read_import("a::{self, b as c, d::{e, f::*}}")] == [
        ("", "a", "a"),
        ("a", "b", "c"),
        ("a::d", "e", "e"),
        ("a::d::f", "*", ""),
    ]


def test_super_in_an_inner_module_is_the_file():
    source = "mod tests { use super::*; use super::super::a::B; use super::c::D; use crate::e::F; }"
    assert imported("src/work.rs", source) == [
        ("self", "*", ""),
        ("super::a", "B", "B"),
        ("self::c", "D", "D"),
        ("crate::e", "F", "F"),
    ]


FILES = {
    "Cargo.toml": '[workspace]\nmembers = ["core", "app"]\n',
    "core/Cargo.toml": '[package]\nversion = "1"\nname = "acme-core"\n\n[dependencies]\n',
    "core/src/lib.rs": "",
    "core/src/deep/mod.rs": "",
    "core/src/deep/tool.rs": "",
    "app/Cargo.toml": (
        '[package]\nname = "app"\n[dependencies]\nrenamed = { version = "1", path = "../other" }\n'
        '[dependencies.tabled]\npath = "../tab"\n'
    ),
    "app/src/main.rs": "",
    "app/src/lib.rs": "",
    "app/src/a.rs": "",
    "app/src/a/b.rs": "",
    "app/src/a/sibling.rs": "",
    "other/src/lib.rs": "",
    "tab/src/lib.rs": "",
}


@pytest.mark.parametrize(
    ("importer", "module", "file"),
    [
        ("app/src/a/b.rs", "crate::a", "app/src/a.rs"),
        ("app/src/a/b.rs", "crate::a::Item", "app/src/a.rs"),
        ("app/src/a/b.rs", "crate", "app/src/lib.rs"),
        ("app/src/a/b.rs", "super", "app/src/a.rs"),
        ("app/src/a/b.rs", "super::sibling", "app/src/a/sibling.rs"),
        ("app/src/a.rs", "self::b", "app/src/a/b.rs"),
        ("app/src/a.rs", "b", "app/src/a/b.rs"),
        ("app/src/a.rs", "super::super", None),
        ("app/src/main.rs", "app::a", "app/src/a.rs"),
        ("app/src/main.rs", "acme_core", "core/src/lib.rs"),
        ("app/src/main.rs", "acme_core::deep::tool", "core/src/deep/tool.rs"),
        ("app/src/main.rs", "acme_core::deep::tool::Item", "core/src/deep/tool.rs"),
        ("app/src/main.rs", "renamed", "other/src/lib.rs"),
        ("app/src/main.rs", "tabled", "tab/src/lib.rs"),
        ("app/tests/it.rs", "app::a", "app/src/a.rs"),
        ("app/src/main.rs", "std::sync", None),
        ("app/src/main.rs", "", None),
    ],
)
def test_modules(importer: str, module: str, file: str | None):
    assert leads(FILES, importer, module) == ([file] if file else [])
