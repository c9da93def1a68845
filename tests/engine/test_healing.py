"""Which tokens may continue the typed bytes."""

from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.healing import HealingIndex

BYTES = st.binary(min_size=0, max_size=4)


@given(vocabulary=st.lists(BYTES, max_size=60), remaining=st.binary(min_size=1, max_size=5))
def test_the_same_as_looking_at_every_token(vocabulary: list[bytes], remaining: bytes) -> None:
    expected = [
        number
        for number, data in enumerate(vocabulary)
        if data and (data.startswith(remaining) or remaining.startswith(data))
    ]
    allowed = HealingIndex(vocabulary).allowed(remaining)
    assert sorted(allowed) == expected
    assert len(set(allowed)) == len(allowed)


@given(vocabulary=st.lists(st.binary(min_size=1, max_size=3), max_size=30))
def test_bytes_at_the_very_end_of_the_order(vocabulary: list[bytes]) -> None:
    vocabulary = [*vocabulary, b"\xff", b"\xff\xff", b"\xff\xfe"]
    allowed = HealingIndex(vocabulary).allowed(b"\xff\xff")
    assert sorted(allowed) == [i for i, data in enumerate(vocabulary) if data[:2] == b"\xff\xff" or data == b"\xff"]


def test_control_tokens_are_never_allowed() -> None:
    assert list(HealingIndex([b"", b"re", b"return", b"x"]).allowed(b"ret")) == [1, 2]
