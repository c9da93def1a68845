"""Names that a completion uses and that exist nowhere in reach: small models make them up.

Told from the words alone, for languages whose keywords and built-in names are listed here. Members (`a.b`) are passed
over, since the type of `a` is not known, and so is everything that the completion may define itself. What is left is
a hint about its worth, and no proof: a name may come from a star import.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Collection

from coderls.fim.languages import language

_C = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
bool true false NULL size_t ssize_t ptrdiff_t uint8_t uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t
uintptr_t intptr_t malloc calloc realloc free memcpy memmove memset memcmp strlen strcmp strncmp strcpy strncpy
strcat strchr strstr printf fprintf sprintf snprintf scanf sscanf fopen fclose fread fwrite fgets fputs puts
putchar getchar exit abort assert FILE stdin stdout stderr errno defined include define ifdef ifndef endif undef
pragma error abs min max
"""
_CPP = """
alignas alignof and bitand bitor catch class co_await co_return co_yield concept const_cast consteval constexpr
decltype delete dynamic_cast explicit export false final friend mutable namespace new noexcept not nullptr
operator or override private protected public reinterpret_cast requires static_assert static_cast template this
throw true try typeid typename using virtual wchar_t xor std string vector map
"""
_JS = """
abstract any arguments as asserts async await bigint boolean break case catch class const constructor continue
debugger declare default delete do else enum export extends false finally for from function get if implements
import in infer instanceof interface is keyof let module namespace never new null number object of override
private protected public readonly require return satisfies set static string super switch symbol this throw true
try type typeof undefined unique unknown var void while with yield Array ArrayBuffer BigInt Boolean Buffer Date
Error EvalError Function Infinity Intl JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError
Reflect RegExp Set String Symbol SyntaxError TypeError URIError URL URLSearchParams Uint8Array WeakMap WeakSet
AbortController AbortSignal Blob Event EventTarget FormData Headers Request Response TextDecoder TextEncoder
Partial Required Readonly Record Pick Omit Exclude Extract NonNullable ReturnType Parameters Awaited
InstanceType Iterable Iterator AsyncIterable Generator PromiseLike HTMLElement Element Node Document Window
console window document globalThis process module exports __dirname __filename setTimeout clearTimeout
setInterval clearInterval setImmediate queueMicrotask fetch parseInt parseFloat isNaN isFinite
encodeURIComponent decodeURIComponent describe it test expect beforeEach afterEach beforeAll afterAll before
after
"""
_RUST = """
as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move
mut pub ref return self Self static struct super trait true type unsafe use where while i8 i16 i32 i64 i128
isize u8 u16 u32 u64 u128 usize f32 f64 bool char str String Vec Option Some None Result Ok Err Box Rc Arc Cell
RefCell Mutex HashMap HashSet BTreeMap BTreeSet VecDeque Iterator IntoIterator Default Clone Copy Debug Display
PartialEq Eq PartialOrd Ord Hash Send Sync Sized Drop Fn FnMut FnOnce From Into TryFrom TryInto AsRef AsMut
ToString ToOwned Cow Path PathBuf std core alloc println print eprintln eprint format panic assert assert_eq
assert_ne debug_assert vec write writeln todo unreachable matches dbg cfg derive allow inline test
"""
_GO = """
break case chan const continue default defer else fallthrough for func go goto if import interface map package
range return select struct switch type var any bool byte comparable complex64 complex128 error float32 float64
int int8 int16 int32 int64 rune string uint uint8 uint16 uint32 uint64 uintptr true false iota nil append cap
clear close complex copy delete imag len make max min new panic print println real recover fmt errors strings
strconv os io time context sync sort bytes
"""
_JAVA = """
abstract assert boolean break byte case catch char class const continue default do double else enum extends
final finally float for goto if implements import instanceof int interface long native new package permits
private protected public record return sealed short static strictfp super switch synchronized this throw throws
transient true false null try var void volatile while yield Object String Integer Long Short Byte Character
Boolean Double Float Number Math System Thread Runnable Iterable Comparable CharSequence StringBuilder
StringBuffer Class Void Exception RuntimeException Error Throwable IllegalArgumentException
IllegalStateException NullPointerException IndexOutOfBoundsException InterruptedException
UnsupportedOperationException ClassNotFoundException CloneNotSupportedException ArithmeticException Override
Deprecated SuppressWarnings FunctionalInterface SafeVarargs Enum Record Process ProcessBuilder Runtime
"""
_PYTHON = (*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls", "__file__", "__all__")

_KNOWN: dict[str, frozenset[str]] = {
    "python": frozenset(_PYTHON),
    **dict.fromkeys(
        ("javascript", "typescript", "javascriptreact", "typescriptreact"), frozenset(_JS.split())
    ),
    "rust": frozenset(_RUST.split()),
    "go": frozenset(_GO.split()),
    "java": frozenset(_JAVA.split()),
    "c": frozenset(_C.split()),
    "cpp": frozenset((*_C.split(), *_CPP.split())),
}  # fmt: skip
_NAME = r"[A-Za-z_$][\w$]*"
_TEXT = re.compile(
    r"\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|\"(?:\\.|[^\"\\\n])*\"?|`[^`]*`?|/\*.*?(?:\*/|\Z)", re.DOTALL
)
_QUOTED = re.compile(r"'(?:\\.|[^'\\\n])*'")
_WORD = re.compile(rf"(?<![\w$])(?P<name>{_NAME})(?=(?P<after>\s*(?:=(?!=)|:(?!:)|:=))?)")
_BEGUN = re.compile(r"(?:(?:\.|->|::|@)\s*)?[\w$]*$")
_REST = re.compile(r"[\w$]*")
_MEMBER = (".", "->", "::", "@")
#: Longer texts (characters) are not looked at, nor what stands further before the cursor: some patterns take time that
#: grows with the square of it.
_LONGEST, _REACH = 4_000, 200
#: Words before a name that make it no definition: `return x`. Others, a type most of all, do: `int x`.
_NO_TYPE_WORDS = """
return not in and or is await yield new typeof instanceof else if elif while case throw raise assert del
delete of do match go defer range from async mut ref move unsafe sizeof goto void with except catch loop
"""
_NO_TYPE = frozenset(_NO_TYPE_WORDS.split())
#: What stands in these is defined, or may be.
_DEFINING = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<![\w$])(?:{_NAME}\s*,\s*)*{_NAME}\s*:?=(?!=)",
        r"\bfor\s*\(?(.*?)\b(?:in|of)\b",
        rf"\b(?:def|function|fn|func)\s*{_NAME}?\s*(?:<[^>]*>)?\s*\([^)]*\)?",
        rf"\b(?:class|struct|enum|interface|trait|type|mod|let|const|var|as|import)\s+(?:mut\s+)?{_NAME}",
        r"\b(?:const|let|var)\s*[\[{][^\]}]*",
        r"\blambda\b[^:]*",
        rf"\([^()]*\)\s*(?::[^=;{{]*)?=>|(?<![\w$]){_NAME}\s*=>",
        r"\|[^|]*\|",
        r"\blet\b[^=]*=",
        r"[^\n{},;]*=>",
        r"\bfor\s*\([^:;]*[:;]",
        r"(?m)^\s*(?:from|import|use|export|package|#).*$",
        r"\b(?:catch|with)\s*\([^)]*\)",
    )
)


def unknown_names(
    text: str, language_id: str, known: Callable[[str], bool], line_before: str = "", line_after: str = ""
) -> tuple[str, ...]:
    """Names in `text` that it does not define, that are no members and not built in, and for which `known` is false.

    In the order in which they come, each once. `line_before` and `line_after` are the rest of the cursor's line: a name
    may have begun before the cursor. Nothing for languages whose built-in names are not listed, and for long texts.
    """
    own = _KNOWN.get(language_id)
    if own is None or len(text) > _LONGEST:
        return ()
    begun, rest = _BEGUN.search(line_before[-_REACH:]), _REST.match(line_after[:_REACH])
    code = _code((begun.group() if begun else "") + text + (rest.group() if rest else ""), language_id)
    found = [name for name in _used(code) if name not in own]
    if not found:
        return ()
    defined = _defined(code)
    return tuple(name for name in dict.fromkeys(found) if name not in defined and not known(name))


def _code(text: str, language_id: str) -> str:
    """Without comments and strings."""
    mark = re.escape(language(language_id).comment[0])
    plain = _TEXT.sub('""', text)
    if language_id != "rust":  # there an apostrophe begins a lifetime, too
        plain = _QUOTED.sub('""', plain)
    return re.sub(rf"{mark}.*", "", plain)


def _used(code: str) -> list[str]:
    """Names that are used for themselves: no members, keywords of calls, keys or labels, and not behind a type."""
    used, last, end = [], "", 0
    for match in _WORD.finditer(code):
        name, before = match["name"], code[end : match.start()]
        behind_type = bool(last) and last not in _NO_TYPE and bool(before) and before.strip() in ("", "*", "&", "&&")
        if not (match["after"] or behind_type or before.rstrip().endswith(_MEMBER)) and len(name) > 1:
            used.append(name)
        last, end = name, match.end()
    return used


def _defined(code: str) -> Collection[str]:
    return {
        name for pattern in _DEFINING for match in pattern.finditer(code) for name in re.findall(_NAME, match.group())
    }
