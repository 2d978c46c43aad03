"""Are the named request lists those that the reference runs were made with?"""

import numpy as np
import pytest

from archsim.core.errors import InputError
from archsim.memory.requests import Pacing, Requests
from archsim.memory.traces import TRACES, Place, checksum, draw, trace

PLACE = Place(access_bytes=64, row_stride_bytes=131072, page_stride_bytes=8192)

CHECKSUMS = {  # requests, bytes of one, row and page stride, checksum of a reference run
    "rand_rd": (32768, 64, 8192, 8192, 287847648368548224),
    "row_conflict": (8192, 64, 8192, 8192, 3002399706841088),
    "stream_rd": (32768, 64, 8192, 8192, 1501199874392064),
    "kv_gather": (32768, 64, 131072, 8192, 289714527230492672),
    "rand_2r1w": (32768, 64, 131072, 8192, 287847648546891449),
    "stream_2r1w": (32768, 64, 131072, 8192, 1501200053343573),
    "stride256": (32768, 64, 131072, 8192, 6004799497568256),
    "stride4096": (32768, 64, 131072, 8192, 96076791961092096),
    "triad_2r1w": (32768, 64, 131072, 8192, 144617031232238037),
    "kv_gather8": (32768, 64, 131072, 8192, 285616508388769792),
    "bank_walk": (32768, 64, 131072, 8192, 192153583922184192),
    "gemm_tile": (32768, 64, 131072, 8192, 21013258907418624),
    "kv_gather_rw": (32768, 64, 131072, 8192, 290658088003611932),
    "stream_wr": (32768, 64, 131072, 4096, 1501200411279360),
}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_a_trace_has_the_checksum_of_the_reference_run(name):
    n, access, row_stride, page_stride, wanted = CHECKSUMS[name]
    requests = trace(name, n, Place(access, row_stride, page_stride))
    assert len(requests) == n
    assert checksum(requests) == wanted


def test_every_trace_is_held_against_a_reference_run():
    assert set(CHECKSUMS) == set(TRACES)


@pytest.mark.parametrize("name", TRACES)
def test_a_shorter_trace_is_the_beginning_of_a_longer_one(name):
    short, long = trace(name, 700, PLACE), trace(name, 3000, PLACE)
    assert np.array_equal(short.address, long.address[:700])
    assert np.array_equal(short.write, long.write[:700])


@pytest.mark.parametrize("name", TRACES)
def test_addresses_are_whole_accesses_within_the_region(name):
    requests = trace(name, 5000, PLACE)
    assert (requests.address % 64 == 0).all()
    assert requests.address.min() >= 0
    assert requests.address.max() < PLACE.region_bytes
    assert set(requests.write.tolist()) <= {0, 1}


def test_draws_are_those_of_splitmix64():
    # first outputs of SplitMix64 seeded with 1234567, as published with its reference code
    first = draw(1234567, np.arange(3))
    assert first.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_an_unknown_trace_names_the_closest():
    with pytest.raises(InputError) as error:
        trace("stream_read", 1, PLACE)
    assert "trace 'stream_read' is not one of stream_rd, " in str(error.value)
    assert error.value.diagnostics[0].help == 'did you mean "stream_rd"?'


def test_requests_need_a_write_flag_each():
    with pytest.raises(InputError, match=r"got shapes \(3,\) and \(2,\)"):
        Requests(np.zeros(3, np.int64), np.zeros(2, np.int64))


def test_a_pace_at_which_nothing_comes_is_refused():
    with pytest.raises(InputError, match="per_tick >= 1, got 0, 0 and 0"):
        Pacing(per_tick=0)
