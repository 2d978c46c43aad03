"""Where each number of the flit simulator lives in its flat arrays of integers.

Things of one kind (input VCs, ports, packets...) are records of equal length in one array; a field
is reached as `array[thing << BITS | FIELD]`, which is quick for machine code and for lists alike.
A router's ports and a port's VCs are padded to powers of two, so that a VC's number holds those of
its port and router; cyclic order, all that arbiters look at, does not mind the gaps.
"""

from __future__ import annotations

NEVER = 1 << 60  # a cycle that no run reaches
FARTHEST = (1 << 62) - 1  # from a pointer: a distance << 32 | who is there
PATH_SHIFT = 32  # of a step of a path: output port << 32 | mask of VCs
# a flit: when it was sent << 30 | packet << 2 | tail << 1 | head

# an input VC: flits in its buffer and the place of the first; the wanted output port and a mask of
# its VCs; the VC it owns downstream; when its head may go on; its VC allocator's pointer
IN_BITS = 3
COUNT, FIRST, OUT, MAY, OWNS, READY, ASKS = range(7)

# an output VC, of a router or a source: flits not yet credited, and one more where it is held until
# the tail's credit, from the head's grant until the tail is sent; its VC allocator's pointer
VC_BITS = 1
USED, GRANTS = range(2)

# a port. As an output: VC 0 of the input it leads to (a sink: negative), cycles from the switch to
# there, cycle from which it is free, cycles a flit holds it, flits sent, pointer over inputs. As an
# input: VC 0 of the output that feeds it, cycles a credit takes, pointer over outputs, pointer over
# its VCs. Ports after those of all routers are the sources.
PORT_BITS = 4
TO, FLIT_DELAY, NEXT, PERIOD, SENT, OUT_TURN = range(6)
BACK, BACK_DELAY, IN_TURN, VC_TURN = range(6, 10)

# a packet; its step is that in the router it goes to next, packed as those of paths, or negative
# where the router chooses
PACKET_FIELDS_BITS = 3
DEST, CREATED, HEAD_SENT, HOPS, RECORDED, STEP, LENGTH, PATH = range(8)

# a source: packet in front or -1, its flits left, its VC or -1, the last VC used, the next trial,
# when the next packet is made, whether its trials are past the drain's first cycle, flits accepted
SOURCE_BITS = 3
PACKET, LEFT, VC, LAST, TRIAL, COMES, DRAINED, ACCEPTED = range(8)

# what the whole network is. Flit i of every VC's buffer lies together: the front ones are used
# most. LIMIT: of USED; COINS: whether routes are drawn, so that the order of flits matters; SLOW:
# whether heads wait longer than until the next cycle
(
    NODES, ROUTERS, PORT_SHIFT, VC_SHIFT, WORD_SHIFT, VCS, BUFFER, LIMIT, HOLDS, FLITS, DIMS, WRAPS,
    ROUTING, COINS, SLOW, ROUTE_DELAY, VC_DELAY, SINK_BACK, PATTERN, TARGETS, CHANCE, RANDOM, WHEEL,
    SLOT, ALL_VCS, EXTENT,
) = range(26)  # fmt: skip
CONFIG = EXTENT + 3
DIMENSION_ORDER, ALONG_PATHS, ADAPTIVE = range(3)
UNIFORM, PERMUTATION, HOT, TRACE = range(4)
OWN, REPLAY = range(2)

# sets are masks of bits: `waiting`, `bidding` and `fresh` (a VC won in this cycle) have a router's
# input VCs, 64 a word; `asks` and `bids` the routers that have any; `free_vcs` output VCs of a port

# sums and counters of a run
(
    TIME, STATE, DRAIN_START, SPARE, LATENCY, PACKETS, SHORTEST, LONGEST, NET_LATENCY,
    FLIT_LATENCY, FLITS_OUT, HOPS_SUM, IN_FLIGHT, IN_FLIGHT_CREATED, MEASURED, CREDITS, UNDRAINED,
    LAST_OUT,
) = range(18)  # fmt: skip
STATS = 18
WARMING, RUNNING, DRAINING, EMPTYING = range(4)
