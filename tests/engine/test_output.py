"""Tokens to text: whole characters, stop strings over tokens, the required prefix."""

from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.output import OutputText
from coderls.engine.runner import Sample

BYTES = [bytes([number]) for number in range(256)]


def feed(output: OutputText, data: bytes) -> tuple[list[str], bool]:
    """Byte by byte; returns the pieces and whether a stop string came."""
    pieces = []
    for byte in data:
        piece, stopped = output.add(Sample(byte, -1.0))
        pieces.append(piece.text)
        if stopped:
            return pieces, True
    pieces.append(output.finish().text)
    return pieces, False


def test_a_character_cut_over_tokens_comes_whole() -> None:
    pieces, _ = feed(OutputText(BYTES), "a€😀b".encode())
    assert [piece for piece in pieces if piece] == ["a", "€", "😀", "b"]


def test_half_a_character_at_the_end_is_left_out() -> None:
    pieces, _ = feed(OutputText(BYTES), "ab€".encode()[:-1])
    assert "".join(pieces) == "ab"


def test_bytes_that_are_no_text_are_left_out() -> None:
    pieces, _ = feed(OutputText(BYTES), b"a\xffb\x80c\xc3\xc3\xa9")
    assert "".join(pieces) == "abcé"


@given(text=st.text(max_size=30))
def test_all_text_comes_through(text: str) -> None:
    pieces, _ = feed(OutputText(BYTES), text.encode())
    assert "".join(pieces) == text


@given(text=st.text("ab\n€", max_size=30), stops=st.lists(st.text("ab\n€", min_size=1, max_size=3), max_size=3))
def test_stops_where_the_first_stop_string_was_completed(text: str, stops: list[str]) -> None:
    pieces, stopped = feed(OutputText(BYTES, stops), text.encode())
    expected = text
    for end in range(len(text) + 1):  # the earliest moment at which the text holds a stop string
        found = [text[:end].find(stop) for stop in stops if stop in text[:end]]
        if found:
            expected = text[: min(found)]
            break
    assert "".join(pieces) == expected
    assert stopped == any(stop in text for stop in stops)


def test_text_that_may_become_a_stop_string_is_held_back() -> None:
    output = OutputText(BYTES, ["\n\n"])
    assert output.add(Sample(97, -1.0))[0].text == "a"
    assert output.add(Sample(10, -1.0))[0].text == ""
    assert output.add(Sample(98, -1.0))[0].text == "\nb"


def test_the_required_prefix_is_not_part_of_the_text() -> None:
    table = [b"re", b"turn", b" x"]
    output = OutputText(table, required_prefix="ret")
    assert output.remaining_prefix == b"ret"
    assert output.add(Sample(0, -1.0))[0].text == ""
    assert output.remaining_prefix == b"t"
    assert output.add(Sample(1, -2.0))[0].text == "urn"
    assert output.remaining_prefix == b""


def test_each_token_comes_once_with_the_text_that_it_begins() -> None:
    samples = [Sample(byte, -float(index)) for index, byte in enumerate("x€y".encode())]
    output = OutputText(BYTES, ["yz"])
    pieces = [output.add(sample)[0] for sample in samples]
    last = output.finish()
    assert [piece.text for piece in pieces] == ["x", "", "", "€", ""]
    assert last.text == "y"
    assert [sample for piece in (*pieces, last) for sample in piece.samples] == samples


def test_tokens_after_the_stop_are_not_counted_as_text() -> None:
    output = OutputText(BYTES, ["bc"])
    kept = [sample for byte in b"abc" for sample in output.add(Sample(byte, -1.0))[0].samples]
    assert [sample.token for sample in kept] == [97]
