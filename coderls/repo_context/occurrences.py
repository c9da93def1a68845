"""Where a name stands in a text, as what, and what it is bound by: which places mean the same thing.

Without types this can be told for variables, parameters and definitions (by the scope that binds them) and for
members of the object that a method works on (by its class). All else is compared by how it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coderls.repo_context.languages.language import Language

#: More places than these are not looked at.
_MOST = 500
#: Characters before a member in which its receiver is looked for.
_RECEIVER = 120
SELF = "<self>"
_NAMES = frozenset(
    ("identifier", "type_identifier", "name", "constant", "instance_variable", "class_variable", "global_variable")
)
_MEMBERS = frozenset(("property_identifier", "field_identifier", "private_property_identifier"))
_SHORTHAND = frozenset(("shorthand_property_identifier", "shorthand_property_identifier_pattern"))
_BEFORE_MEMBER = re.compile(r"([\w$@\])][\w$@.?!>:\-\])]*?)\s*(?:\?\.|!\.|(?<!\.)\.|->|::)\s*\Z")
_DOT = re.compile(r"(?:\?\.|(?<!\.)\.|->|::)\s*\Z")
_SELVES = frozenset(("self", "this", "cls", "$this", "super"))
_FUNCTIONS = re.compile(
    r"(?:function|method|constructor|generator_function|accessor|local_function)_(?:definition|declaration|expression|"
    r"item|statement)|lambda\w*|arrow_function|closure_expression|func_literal|method|singleton_method|"
    r"anonymous_function\w*|function_expression|generator_function|compact_constructor_declaration"
)
_CLASSES = re.compile(
    r"(?:class|interface|enum|record|struct|trait|abstract_class)_(?:definition|declaration|specifier|item|body)|class|"
    r"module|impl_item|object_creation_expression"
)
_BLOCKS = re.compile(
    r"block|statement_block|compound_statement|do_block|for_statement|for_in_statement|enhanced_for_statement|"
    r"foreach_statement|for_range_loop|for_expression|if_statement|if_expression|while_expression|match_arm|catch_clause|"
    r"(?:list|set|dictionary)_comprehension|generator_expression|using_statement|try_with_resources_statement"
)
#: Nodes between a name and what binds it.
_PATTERNS = re.compile(
    r"(?:pattern_list|tuple_pattern|list_pattern|object_pattern|array_pattern|rest_pattern|assignment_pattern|"
    r"(?:list|dictionary)_splat_pattern|tuple_struct_pattern|mut_pattern|ref_pattern|reference_pattern|slice_pattern|"
    r"or_pattern|captured_pattern|expression_list|pointer_declarator|array_declarator|reference_declarator|"
    r"init_declarator|function_declarator|as_pattern_target|dotted_name|variable_name|left_assignment_list|"
    r"parenthesized_declarator|match_pattern|splat_parameter)"
)
_NAMED = re.compile(
    r"\w*(?:definition|declaration|declarator|_item|_spec|_specifier|parameter|named_expression|_signature|variant|"
    r"property_element|import_specifier|aliased_import)|method|singleton_method|class|module"
)
_LEFT = re.compile(
    r"(?:augmented_)?assignment|operator_assignment|for_statement|for_in_clause|for_in_statement|"
    r"short_var_declaration|range_clause|foreach_statement"
)
_ASSIGNS = re.compile(r"assignment|assignment_expression|assignment_statement|augmented_assignment")
_PATTERNED = re.compile(
    r"let_declaration|let_condition|parameter|for_expression|(?:required|optional)_parameter|match_arm"
)
_DECLARED = re.compile(r"\w*declaration|function_definition|for_range_loop")
_DIRECT = re.compile(
    r"\w*parameters|typed_parameter|as_pattern|import_clause|namespace_import|import_statement|import_from_statement|"
    r"type_parameter\w*|catch_clause|catch_declaration"
)
#: Languages in which a method sees the members of its class without `this.`.
_BARE_MEMBERS = frozenset(("java", "csharp", "c_sharp", "cpp", "c++"))


class Node(Protocol):
    """The part of a tree-sitter node that is used here."""

    @property
    def type(self) -> str: ...
    @property
    def start_byte(self) -> int: ...
    @property
    def end_byte(self) -> int: ...
    @property
    def child_count(self) -> int: ...
    @property
    def parent(self) -> Node | None: ...
    def child_by_field_name(self, name: str, /) -> Node | None: ...
    def children_by_field_name(self, name: str, /) -> Sequence[Node]: ...
    def descendant_for_byte_range(self, start: int, end: int, /) -> Node | None: ...


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name is at a place; two places with equal meanings are taken for the same thing.

    `kind`: "name", "member", "keyword" (of an argument), "text" (in a string or comment) or another type of node.
    `receiver`: what a member is taken from, as written, or SELF. `scope`: the bytes of what binds the name, or of the
    class where the receiver is SELF; None: the file, or something outside of it.
    """

    kind: str
    receiver: str = ""
    scope: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name at `start`..`end` (code points). `binds`: it is defined, imported or assigned to there."""

    start: int
    end: int
    meaning: Meaning
    binds: bool = False

    @property
    def local(self) -> bool:
        """Whether something smaller than the file binds it."""
        return self.meaning.scope is not None


def read_occurrences(language: Language, data: bytes, root: Node, name: str) -> tuple[Occurrence, ...]:
    """Every place in `data` (UTF-8) at which `name` stands as a whole word, in the order of the text."""
    reader = _Reader(language, data, root)
    found: list[Occurrence] = []
    at, characters = 0, 0
    for start, end in reader.spans(name):
        characters += len(data[at:start].decode("utf-8", "surrogatepass"))
        at = start
        meaning = reader.meaning(name, start, end)
        found.append(Occurrence(characters, characters + len(name), meaning, reader.binds(start, end)))
    return tuple(found)


class _Reader:
    def __init__(self, language: Language, data: bytes, root: Node) -> None:
        self._language = language
        self._data = data
        self._root = root
        self._bound: dict[str, frozenset[tuple[int, int]]] = {}

    def spans(self, name: str) -> Iterator[tuple[int, int]]:
        """Bytes of the whole words that read `name`."""
        word = re.escape(name.encode("utf-8", "surrogatepass"))
        for count, match in enumerate(re.finditer(rb"(?<![\w\x80-\xff])" + word + rb"(?![\w\x80-\xff])", self._data)):
            if count >= _MOST:
                return
            yield match.span()

    def meaning(self, name: str, start: int, end: int) -> Meaning:
        node = self._leaf(start, end)
        if node is None:
            return Meaning("text")
        parent = node.parent
        if node.type in _MEMBERS or (node.type in _NAMES and self._follows_dot(start)):
            return self._member(start, node)
        if node.type in _SHORTHAND or (node.type in _NAMES and parent is not None and _is_keyword(node, parent)):
            return Meaning("keyword" if node.type in _NAMES else node.type)
        if node.type not in _NAMES:
            return Meaning(node.type)
        scope, in_class = self._binding(name, node)
        return Meaning("member", SELF, scope) if in_class else Meaning("name", "", scope)

    def binds(self, start: int, end: int) -> bool:
        """Whether the name gets its meaning at this place."""
        node = self._leaf(start, end)
        if node is None:
            return False
        if self._follows_dot(start):
            return node.parent is not None and _is_assigned(node.parent)
        return node.type in _NAMES | _MEMBERS and _binder(node) is not None

    def _leaf(self, start: int, end: int) -> Node | None:
        """The node that is exactly this word; None where it is a part of a string, a comment, or broken text."""
        node = self._root.descendant_for_byte_range(start, end)
        if node is None or node.child_count or (node.start_byte, node.end_byte) != (start, end):
            return None
        return None if "string" in node.type or "comment" in node.type or node.type == "heredoc_content" else node

    def _follows_dot(self, start: int) -> bool:
        return _DOT.search(self._before(start)) is not None

    def _before(self, start: int) -> str:
        return self._data[max(0, start - _RECEIVER) : start].decode("utf-8", "replace")

    def _member(self, start: int, node: Node) -> Meaning:
        match = _BEFORE_MEMBER.search(self._before(start))
        if match is None and self._follows_dot(start):
            return Meaning("member", f"<at {start}>")  # of a call or the like: nobody knows what it is
        receiver = match.group(1) if match else SELF
        if receiver == SELF or receiver in _SELVES:
            return Meaning("member", SELF, self._class_around(node))
        head = re.match(r"[^\W\d]\w*", receiver)
        scope = self._binding(head.group(), node)[0] if head else None
        return Meaning("member", receiver, scope)

    def _class_around(self, node: Node) -> tuple[int, int] | None:
        for scope in _ancestors(node):
            if _CLASSES.fullmatch(scope.type):
                return _class_span(scope)
        return None

    def _binding(self, name: str, node: Node) -> tuple[tuple[int, int] | None, bool]:
        """The innermost scope around `node` that binds `name`, and whether that is a class."""
        bound = self._binders(name)
        own = _binder(node)
        hides_class = self._language.name.lower() not in _BARE_MEMBERS
        in_function = False
        for scope in _ancestors(node):
            if own is not None and scope == own and _is_named_by(own, node):
                continue  # what a definition is called belongs to what is around it
            is_class = _CLASSES.fullmatch(scope.type) is not None
            is_function = _FUNCTIONS.fullmatch(scope.type) is not None
            if not (is_class or is_function or _BLOCKS.fullmatch(scope.type)):
                continue
            span = _class_span(scope) if is_class else (scope.start_byte, scope.end_byte)
            if span in bound and not (is_class and in_function and hides_class):
                return span, is_class
            in_function = in_function or is_function
        return None, False

    def _binders(self, name: str) -> frozenset[tuple[int, int]]:
        """The scopes that bind `name`."""
        if name not in self._bound:
            leaves = (self._leaf(*span) for span in self.spans(name))
            found = (self._bound_in(leaf) for leaf in leaves if leaf is not None and leaf.type in _NAMES)
            self._bound[name] = frozenset(span for span in found if span is not None)
        return self._bound[name]

    def _bound_in(self, node: Node) -> tuple[int, int] | None:
        """The scope that gets the name by this place; None where the place binds nothing, or in the file."""
        binder = _binder(node)
        if binder is None or self._follows_dot(node.start_byte):
            return None
        named = _is_named_by(binder, node)
        for scope in _ancestors(node):
            if named and scope == binder:
                continue
            if _CLASSES.fullmatch(scope.type):
                return _class_span(scope)
            if _FUNCTIONS.fullmatch(scope.type):
                return scope.start_byte, scope.end_byte
            # Python's blocks bind nothing: only what is made by a comprehension ends with it.
            by_blocks = self._language.name != "python" or "comprehension" in scope.type or "generator" in scope.type
            if by_blocks and _BLOCKS.fullmatch(scope.type):
                return scope.start_byte, scope.end_byte
        return None


def _ancestors(node: Node) -> Iterator[Node]:
    """What is around a node, from the inside, without the file itself."""
    current = node.parent
    while current is not None and (parent := current.parent) is not None:
        yield current
        current = parent


def _class_span(scope: Node) -> tuple[int, int]:
    """A class's own bytes, also where the node is its body."""
    parent = scope.parent
    if scope.type.endswith("_body") and parent is not None and _CLASSES.fullmatch(parent.type):
        scope = parent
    return scope.start_byte, scope.end_byte


def _is_keyword(node: Node, parent: Node) -> bool:
    """Whether a name is the keyword of an argument, or the key of a pair."""
    if parent.type in ("keyword_argument", "named_argument", "jsx_attribute"):
        return parent.child_by_field_name("name") == node
    return parent.type in ("pair", "field_initializer", "keyed_element") and (
        parent.child_by_field_name("key") == node or parent.child_by_field_name("field") == node
    )


def _binder(node: Node) -> Node | None:
    """The node that binds a name by having it at this place; None where it is only used."""
    child, parent = node, node.parent
    while parent is not None and _PATTERNS.fullmatch(parent.type):
        if parent.type in ("assignment_pattern", "init_declarator") and _has(parent, child, "right", "value"):
            return None  # its default
        if parent.type in ("tuple_struct_pattern", "array_declarator") and _has(parent, child, "type", "size"):
            return None
        child, parent = parent, parent.parent
    if parent is None or parent.type.startswith("export"):
        return None
    kind = parent.type
    binds = (
        (_NAMED.fullmatch(kind) is not None and _has(parent, child, "name", "alias"))
        or (_LEFT.fullmatch(kind) is not None and _has(parent, child, "left"))
        or (_PATTERNED.fullmatch(kind) is not None and _has(parent, child, "pattern"))
        or (_DECLARED.fullmatch(kind) is not None and _has(parent, child, "declarator"))
        or (kind in ("arrow_function", "lambda", "catch_clause") and _has(parent, child, "parameter", "parameters"))
        or (_DIRECT.fullmatch(kind) is not None and not _has(parent, child, "type", "module_name", "value"))
    )
    return parent if binds else None


def _is_assigned(member: Node) -> bool:
    """Whether a member of something gets a value here, alone or in a row of names."""
    child, parent = member, member.parent
    while parent is not None and _PATTERNS.fullmatch(parent.type):
        child, parent = parent, parent.parent
    return parent is not None and _ASSIGNS.fullmatch(parent.type) is not None and _has(parent, child, "left")


def _is_named_by(binder: Node, node: Node) -> bool:
    """Whether a definition with a scope of its own is called by this name."""
    opens = _FUNCTIONS.fullmatch(binder.type) or _CLASSES.fullmatch(binder.type)
    return opens is not None and any(
        one.start_byte <= node.start_byte and node.end_byte <= one.end_byte and not _in_parameters(node, one)
        for field in ("name", "declarator")
        for one in binder.children_by_field_name(field)
    )


def _in_parameters(node: Node, end: Node) -> bool:
    for one in _ancestors(node):
        if one == end:
            return False
        if "parameter" in one.type:
            return True
    return False


def _has(parent: Node, child: Node, *fields: str) -> bool:
    return any(child == one for field in fields for one in parent.children_by_field_name(field))
