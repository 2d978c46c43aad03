"""Are memory traces read as they are written, and refused where they say nothing?"""

import pytest

from archsim.core.errors import InputError
from archsim.memory.trace_file import read_trace


def requests(trace):
    return list(zip(trace.address.tolist(), trace.write.tolist(), strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "address,op\n0x20,r\n64,w\n",
        "# two requests\n0x20 R\n\n0x40 W  # the second\n",
        "LD 32\nST 64\n",
        "0x20 P_MEM_RD\n0x40 P_MEM_WR\n",
    ],
)
def test_both_forms_say_the_same(tmp_path, text):
    path = tmp_path / "a.trace"
    path.write_text(text)
    trace = read_trace(path)
    assert requests(trace) == [(32, 0), (64, 1)]
    assert trace.at is None


def test_ticks_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("0x20,read,0\n0x40,write,12\n")
    assert read_trace(path).at.tolist() == [0, 12]


@pytest.mark.parametrize(
    ("text", "place", "message", "help_text"),
    [
        ("0x20,r\n0x40,q\n", (2, 6), 'no read or write in "0x40,q"', None),
        ("0x20,reed\n", (1, 6), 'no read or write in "0x20,reed"', 'did you mean "read"?'),
        ("0xzz r\n", (1, 1), '"0xzz" is not an address or a tick', None),
        ("0x20 r 7\n0x40 r 3\n", (2, 8), "tick 3 comes after tick 7", None),
        ("0x20 r 7\n0x40 r\n", (2, 1), "either every line has a tick, or none", None),
        ("1 2 3 r\n", (1, 1), "expects an address and maybe a tick, got 3 numbers", None),
        (f"{2**63} r\n", (1, 1), "a number of more than 63 bits", None),
    ],
)
def test_a_line_that_is_no_request_is_named(tmp_path, text, place, message, help_text):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_trace(path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.line, found.column, found.message) == ("E110", *place, message)
    default = "a line is `0x1f40,r` or `0x1f40 R 120`: address, r or w, and maybe a tick"
    assert found.help == (help_text or default)


def test_a_trace_without_requests_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("address,op\n")
    with pytest.raises(InputError, match="has no requests"):
        read_trace(path)
