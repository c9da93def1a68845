# ruff: noqa: E501 (code in strings)
from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import bound, defined, imported, leads
from tests.repo_context.repository import check

SOURCE = """
<?php
declare(strict_types=1);
namespace App\\Models;

use App\\Base\\Record;
use App\\Contracts\\{Named, Deep\\Other as Oth};
use function App\\Tools\\cut;
use const App\\LIMIT;
require_once __DIR__ . '/../helper.php';
include 'x.php';

const MAX = 3;
define('OLD', 1);
/** Doc. */
#[Attr]
abstract class User extends Record implements Named, Oth
{
    use SoftDeletes, Log\\Loud;
    public const A = 1;
    const string B = 'x';
    private ?Client $client;
    protected static $cache = [], $two;
    public readonly Conf|Null $conf;
    public function __construct(private Logger $log, protected readonly int $n = 3, Foo $foo = null)
    {
        $this->foo = $foo;
        $this->bar = new Bar(1);
    }
    public static function find(int $id): ?static
    {
        $x = new Thing(1);
        $y = $this->client->get();
        $z = User::find(1);
        foreach ($this->items as $k => $item) { $item->x(); }
        foreach ($list as $one) { }
        $f = function (Zed $z) use ($x) { };
        $g = fn(Quux $q) => $q->x();
        try { } catch (MyError $e) { }
        return new self;
    }
    abstract protected function run(array $a, callable ...$rest): void;
    public function items(): HasMany { return $this->hasMany(Item::class); }
}
interface Named2 extends A, B { public function name(): string; const X = 1; }
trait Loud { protected $volume = 1; public function shout() {} }
enum Level: string implements HasLabel { case Low = 'l'; case High = 'h'; public function label(): string { return ''; } }
function helper(Foo $a, $b = 1): Bar { }
$global = new Foo();
"""


def test_definitions():
    assert defined("src/Models/User.php", SOURCE) == snapshot("""\
namespace App\\Models  | namespace App\\Models
const MAX = 3;  | constant MAX
define('OLD', 1)  | constant OLD
#[Attr]
abstract class User extends Record implements Named, Oth  | class User (Record, Named, Oth, SoftDeletes, Loud)
public const A = 1;  | constant A of User
const string B = 'x';  | constant B of User
private ?Client $client;  | attribute client of User -> Client
protected static $cache = [], $two;  | attribute cache of User
protected static $cache = [], $two;  | attribute two of User
public readonly Conf|Null $conf;  | attribute conf of User -> Conf|Null
public function __construct(private Logger $log, protected readonly int $n = 3, Foo $foo = null);  | method __construct of User
private Logger $log  | attribute log of User -> Logger
protected readonly int $n = 3  | attribute n of User -> int
$this->foo = $foo  | attribute foo of User -> Foo
$this->bar = new Bar(1)  | attribute bar of User -> =Bar()
public static function find(int $id): ?static;  | method find of User -> User
abstract protected function run(array $a, callable ...$rest): void;  | method run of User
public function items(): HasMany;  | method items of User -> HasMany
interface Named2 extends A, B  | class Named2 (A, B)
public function name(): string;  | method name of Named2 -> string
const X = 1;  | constant X of Named2
trait Loud  | class Loud
protected $volume = 1;  | attribute volume of Loud
public function shout();  | method shout of Loud
enum Level: string implements HasLabel  | class Level (HasLabel)
case Low = 'l';  | attribute Low of Level
case High = 'h';  | attribute High of Level
public function label(): string;  | method label of Level -> string
function helper(Foo $a, $b = 1): Bar;  | function helper -> Bar\
""")


def test_imports():
    assert imported("src/Models/User.php", SOURCE) == snapshot(
        [
            ("App\\Base\\Record", "Record", "Record"),
            ("App\\Contracts\\Named", "Named", "Named"),
            ("App\\Contracts\\Deep\\Other", "Other", "Oth"),
            ("App\\Tools", "cut", "cut"),
            ("App", "LIMIT", "LIMIT"),
            ("./../helper.php", "*", ""),
            ("./x.php", "*", ""),
        ]
    )


def test_bindings():
    assert bound("src/Models/User.php", SOURCE) == snapshot(
        [
            "this: User [15-44]",
            "foo: Foo [24-29]",
            "log: Logger [24-29]",
            "n: int [24-29]",
            "id: int [29-41]",
            "x: =Thing() [31-41]",
            "y: =this.client.get() [32-41]",
            "z: =User.find() [33-41]",
            "item: =this.items[] [34-35]",
            "one: =list[] [35-36]",
            "z: Zed [36-37]",
            "f:  [36-41]",
            "q: Quux [37-38]",
            "g:  [37-41]",
            "e: MyError [38-39]",
            "a: array [41-42]",
            "rest: callable [41-42]",
            "this: Named2 [44-45]",
            "this: Loud [45-46]",
            "this: Level [46-47]",
            "a: Foo [47-48]",
            "b:  [47-48]",
            "global: =Foo() [48-50]",
        ]
    )


FILES = {
    "composer.json": '{"autoload": {"psr-4": {"App\\\\": "src/", "App\\\\Deep\\\\": ["other", "deep/"]}}}',
    "src/Models/User.php": "<?php namespace App\\Models; class User {}",
    "deep/Tool.php": "<?php namespace App\\Deep; class Tool {}",
    "src/functions.php": "<?php namespace App\\Functions; function cut() {}",
    "legacy/Old/Thing.php": "<?php namespace Old; class Thing {}",
    "web/helper.php": "<?php function helper() {}",
}


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("App\\Models\\User", "src/Models/User.php"),
        ("App\\Deep\\Tool", "deep/Tool.php"),
        ("App\\Functions", "src/functions.php"),
        ("Old\\Thing", "legacy/Old/Thing.php"),
        ("./helper.php", "web/helper.php"),
        ("./inc/../../web/helper.php", "web/helper.php"),
        ("App\\Missing", None),
        ("Symfony\\Component\\Thing", None),
    ],
)
def test_classes_and_files(module: str, file: str | None):
    assert leads(FILES, "web/index.php", module) == ([file] if file else [])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"autoload": []}', '{"autoload": {"psr-4": ["x", 1]}}'])
def test_a_broken_composer_file_is_no_trouble(text: str):
    assert leads({"composer.json": text, "src/A.php": ""}, "src/B.php", "App\\A") == []


def test_a_whole_repository():
    assert check(
        {
            "composer.json": '{"autoload": {"psr-4": {"App\\\\": "src/"}}}',
            "src/Models/User.php": "<?php\nnamespace App\\Models;\n\nclass User\n{\n    public string $name;\n    public function rename(string $to): void\n    {\n    }\n}\n",
            "src/Main.php": "<?php\nuse App\\Models\\User;\n\nfunction run(User $user) {\n    $user->$0\n}\n",
        }
    ) == snapshot("""\
== src/Models/User.php
class User {
    public string $name;
    public function rename(string $to): void;
}
""")
