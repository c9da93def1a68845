from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import Tree, bound, defined, imported, language_of, leads

SOURCE = """
#include "list.h"
#include <sys/types.h>
#define LIST_MAX 10
#define EACH(l, x) for (x = l; x; x = x->next)
typedef struct list { int size; char *name; struct list *next; } list_t;
typedef struct { int a, b; } pair_t;
typedef enum { FAST, SLOW } mode_t;
typedef int (*visit_fn)(list_t *list, void *data);
typedef unsigned long ulong_t;
enum { ANON_A = 1, ANON_B };
enum color { RED, GREEN };
union value { int i; float f; };
struct ops { int (*open)(const char *path); list_t items[4], grid[2][2]; unsigned flags : 3; };
int list_add(list_t *list, const char *name);
list_t *list_new(void);
extern const struct ops default_ops;
static int counter = 0;
static const char *names[] = {"a"};
extern int table[3];
#ifdef X
static inline list_t *first(list_t *l) { return l; }
#endif
char **argv_of(int n) {
  struct ops *o = get_ops();
  list_t *l, other;
  for (int i = 0; i < n; i++) { use(i); }
  pair_t *p = (pair_t *) malloc(1);
  return 0;
}
"""


def test_definitions():
    assert defined("src/list.c", SOURCE) == snapshot("""\
#define LIST_MAX 10  | constant LIST_MAX
#define EACH(l, x) for (x = l; x; x = x->next)  | constant EACH
typedef struct list list_t;
struct list  | class list_t
int size;  | attribute size of list_t -> int
char *name;  | attribute name of list_t -> char
struct list *next;  | attribute next of list_t -> list
typedef struct pair_t pair_t;
struct pair_t  | class pair_t
int a, b;  | attribute a of pair_t -> int
int a, b;  | attribute b of pair_t -> int
typedef enum mode_t mode_t;
enum mode_t  | class mode_t
FAST  | constant FAST of mode_t
SLOW  | constant SLOW of mode_t
typedef int (*visit_fn)(list_t *list, void *data);  | type visit_fn -> int
typedef unsigned long ulong_t;  | type ulong_t -> unsignedlong
ANON_A = 1  | constant ANON_A
ANON_B  | constant ANON_B
enum color  | class color
RED  | attribute RED of color
GREEN  | attribute GREEN of color
union value  | class value
int i;  | attribute i of value -> int
float f;  | attribute f of value -> float
struct ops  | class ops
int (*open)(const char *path);  | attribute open of ops -> int
list_t items[4], grid[2][2];  | attribute items of ops -> list_t
list_t items[4], grid[2][2];  | attribute grid of ops -> list_t
unsigned flags : 3;  | attribute flags of ops -> unsigned
int list_add(list_t *list, const char *name);  | function list_add -> int
list_t *list_new(void);  | function list_new -> list_t
extern const struct ops default_ops;  | constant default_ops -> ops
static int counter = 0;  | constant counter -> int
static const char *names[] = {"a"};  | constant names -> char
extern int table[3];  | constant table -> int
static inline list_t *first(list_t *l);  | function first -> list_t
char **argv_of(int n);  | function argv_of -> char\
""")


def test_imports():
    assert imported("src/list.c", SOURCE) == snapshot([("list.h", "*", ""), ("sys/types.h", "*", "")])


def test_bindings():
    assert bound("src/list.c", SOURCE) == snapshot(
        [
            "list: list_t [8-31]",
            "path: char [13-14]",
            "list: list_t [14-15]",
            "name: char [14-15]",
            "default_ops: ops [16-31]",
            "counter: int [17-31]",
            "names: char [18-31]",
            "table: int [19-31]",
            "l: list_t [21-22]",
            "n: int [23-30]",
            "o: ops [24-30]",
            "l: list_t [25-30]",
            "other: list_t [25-30]",
            "i: int [26-27]",
            "p: pair_t [27-30]",
        ]
    )


FILES = {
    "src/list.h": "",
    "src/list.c": "",
    "include/acme/tree.h": "",
    "include/acme/tree.hpp": "",
    "lib/tree.cc": "",
    "other/deep/src/list.h": "",
    "src/net/socket.h": "",
}


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("list.h", "src/list.h"),
        ("acme/tree.h", "include/acme/tree.h"),
        ("tree.hpp", "include/acme/tree.hpp"),
        ("../src/net/socket.h", "src/net/socket.h"),
        ("../../far/socket.h", None),
        ("stdio.h", None),
        ("../..", None),
    ],
)
def test_includes(module: str, file: str | None):
    assert leads(FILES, "src/main.c", module) == ([file] if file else [])


def test_headers_and_sources_belong_together():
    def partners(path: str) -> list[str]:
        return list(language_of(path).partners(path, Tree(FILES)))

    assert partners("src/list.h") == ["src/list.c"]
    assert partners("src/list.c") == ["src/list.h"]
    assert partners("include/acme/tree.hpp") == ["lib/tree.cc"]
    assert partners("lib/tree.cc") == ["include/acme/tree.h"]
    assert partners("src/net/socket.h") == []


def test_a_header_of_cpp_is_told_by_its_text():
    assert language_of("a.h", "namespace a {\n}\n").name == "cpp"
    assert language_of("a.h", "struct a { int b; };\n").name == "c"
