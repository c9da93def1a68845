from __future__ import annotations

from inline_snapshot import snapshot

from tests.repo_context.languages.shown import bound, defined, imported

SOURCE = """
#pragma once
#include "shape.h"
#include <vector>
namespace geo::deep {
class Shape : public Base<int>, private ns::Other, public virtual T3 {
 public:
  explicit Shape(int sides, Conf* conf = nullptr);
  Shape(const Shape&) = delete;
  virtual ~Shape();
  virtual double area() const = 0;
  std::string &name();
  const Conf* conf() const { return conf_; }
  int sides() const { return sides_; }
  static std::unique_ptr<Shape> make(int n);
  auto later() -> Foo;
  bool operator==(const Shape& o) const;
  template <typename T> T cast(T a);
  std::vector<Item> items_;
  int (*callback)(int);
  enum class Kind { A, B = 2 };
  struct Nested { int x; };
  using Alias = Foo<int>;
  friend class X;
 private:
  int sides_ = 3, two_;
  Conf *conf_, **many_;
  static constexpr int kMax = 3;
};
template <typename T> T largest(T a, T b) { return a; }
using Shapes = std::vector<Shape>;
typedef struct { int a; } anon_t;
extern Conf* global_conf;
constexpr int kLimit = 3;
static const char *names[] = {"a"};
double Shape::area() const {
  auto x = make_thing(1);
  Conf c(1);
  Conf d{1};
  Foo* f = new Foo(2);
  auto p = std::make_unique<Shape>(3);
  for (const auto& i : items_) { i.x(); }
  for (Item j : items_) { j.x(); }
  auto l = [&](Zed& z) { z.q(); };
  Shape& r = *f;
  return 0;
}
Conf* geo::Shape::get() { }
Conf& Shape::ref() { }
Shape::Shape(int n) : sides_(n) {}
Shape::~Shape() {}
template <class T> void Gen<T>::run() {}
}
extern "C" { int c_func(void); }
char **argv_of(int n);
struct Plain : Base { void m(); };
#define MAX(a, b) ((a) > (b) ? (a) : (b))
enum { ANON_A, ANON_B };
"""


def test_definitions():
    assert defined("src/shape.cpp", SOURCE) == snapshot("""\
namespace geo::deep  | namespace geo::deep
class Shape : public Base<int>, private ns::Other, public virtual T3  | class Shape (Base, Other, T3)
explicit Shape(int sides, Conf* conf = nullptr);  | method Shape of Shape
virtual ~Shape();  | method ~Shape of Shape
virtual double area() const = 0;  | method area of Shape -> double
std::string &name();  | method name of Shape -> std::string
const Conf* conf() const;  | method conf of Shape -> Conf
int sides() const;  | method sides of Shape -> int
static std::unique_ptr<Shape> make(int n);  | method make of Shape -> std::unique_ptr<Shape>
auto later() -> Foo;  | method later of Shape -> Foo
bool operator==(const Shape& o) const;  | method operator== of Shape -> bool
template <typename T> T cast(T a);  | method cast of Shape -> T
std::vector<Item> items_;  | attribute items_ of Shape -> std::vector<Item>
int (*callback)(int);  | attribute callback of Shape -> int
enum class Kind  | class Kind of Shape
A  | attribute A of Kind
B = 2  | attribute B of Kind
struct Nested  | class Nested of Shape
int x;  | attribute x of Nested -> int
using Alias = Foo<int>;  | type Alias of Shape -> Foo<int>
int sides_ = 3, two_;  | attribute sides_ of Shape -> int
int sides_ = 3, two_;  | attribute two_ of Shape -> int
Conf *conf_, **many_;  | attribute conf_ of Shape -> Conf
Conf *conf_, **many_;  | attribute many_ of Shape -> Conf
static constexpr int kMax = 3;  | attribute kMax of Shape -> int
template <typename T> T largest(T a, T b);  | function largest -> T
using Shapes = std::vector<Shape>;  | type Shapes -> std::vector<Shape>
typedef struct anon_t anon_t;
struct anon_t  | class anon_t
int a;  | attribute a of anon_t -> int
extern Conf* global_conf;  | constant global_conf -> Conf
constexpr int kLimit = 3;  | constant kLimit -> int
static const char *names[] = {"a"};  | constant names -> char
double Shape::area() const;  | method area of Shape -> double
Conf* geo::Shape::get();  | method get of Shape -> Conf
Conf& Shape::ref();  | method ref of Shape -> Conf
Shape::Shape(int n) : sides_(n);  | method Shape of Shape
Shape::~Shape();  | method ~Shape of Shape
template <class T> void Gen<T>::run();  | method run of Gen
int c_func(void);  | function c_func -> int
char **argv_of(int n);  | function argv_of -> char
struct Plain : Base  | class Plain (Base)
void m();  | method m of Plain
#define MAX(a, b) ((a) > (b) ? (a) : (b))  | constant MAX
ANON_A  | constant ANON_A
ANON_B  | constant ANON_B\
""")


def test_imports():
    assert imported("src/shape.cpp", SOURCE) == snapshot([("shape.h", "*", ""), ("vector", "*", "")])


def test_bindings():
    assert bound("src/shape.cpp", SOURCE) == snapshot(
        [
            "this: Shape [5-29]",
            "sides: int [7-8]",
            "conf: Conf [7-8]",
            "n: int [14-15]",
            "o: Shape [16-17]",
            "a: T [17-18]",
            "this: Kind [20-21]",
            "this: Nested [21-22]",
            "a: T [29-30]",
            "b: T [29-30]",
            "this: anon_t [31-32]",
            "global_conf: Conf [32-59]",
            "kLimit: int [33-59]",
            "names: char [34-59]",
            "this: Shape [35-47]",
            "x: =make_thing() [36-47]",
            "c: Conf [37-47]",
            "d: Conf [38-47]",
            "f: Foo [39-47]",
            "p: Shape [40-47]",
            "i: =items_[] [41-42]",
            "j: Item [42-43]",
            "l:  [43-47]",
            "z: Zed [43-44]",
            "r: Shape [44-47]",
            "this: Shape [47-48]",
            "this: Shape [48-49]",
            "this: Shape [49-50]",
            "n: int [49-50]",
            "this: Shape [50-51]",
            "this: Gen [51-52]",
            "n: int [54-59]",
            "this: Plain [55-56]",
        ]
    )
