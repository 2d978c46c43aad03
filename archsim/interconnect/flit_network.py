"""A network laid out as the flat arrays of the flit simulator, and run for cycles.

The arrays are numpy's for machine code and lists for plain Python. What is measured is decided in
`flit_measure`.
"""

from __future__ import annotations

from math import log
from typing import Any

from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_cycle import advance
from archsim.interconnect.flit_random import gap
from archsim.interconnect.flit_spec import RouterSpec
from archsim.interconnect.flit_wires import Wires, coordinates
from archsim.interconnect.replay_rng import FRACTION_BITS, started
from archsim.interconnect.traffic import Pattern

WORD_BITS = 6  # of the number of a bit in a word
LINE_BYTES = 64  # of a cache, in most processors
NODE_LATENCY = 1  # cycles between a node and its router
ROUTINGS = {"dimension_order": f.DIMENSION_ORDER, "adaptive": f.ADAPTIVE, "table": f.ALONG_PATHS}


class FlitNetwork:
    """A network with its traffic, at cycle 0.

    Args:
        wires: the network.
        spec: of its routers.
        pattern: who sends to whom.
        rate: packets per node and cycle.
        packet_flits: flits of a packet; a trace says its own.
        seed: of the random numbers.
        replay: draw the reference simulator's random numbers.
        plain: run as plain Python, even where numba is installed.
    """

    def __init__(
        self,
        wires: Wires,
        spec: RouterSpec,
        pattern: Pattern,
        *,
        rate: float,
        packet_flits: int,
        seed: int,
        replay: bool = False,
        plain: bool = False,
    ) -> None:
        self.wires, self.spec, self.pattern = wires, spec, pattern
        self._advance = None
        if not plain:
            from archsim.interconnect.flit_compile import compiled

            self._advance = compiled()
        self._port_shift = max(1, (wires.ports - 1).bit_length())
        self._vc_shift = (spec.vcs - 1).bit_length()
        self._word_shift = max(0, self._vc_shift + self._port_shift - WORD_BITS)
        self._delays: list[int] = []
        ports, outputs, free = self._lay_ports()
        wheel = 1 << max(self._delays).bit_length()
        room = len(wires.links) + 2 * wires.nodes
        vcs = wires.routers << (self._port_shift + self._vc_shift)
        packets = room * spec.vcs * spec.buffer + wires.nodes
        config = self._config(packet_flits, rate, wheel - 1, room, replay=replay)
        sources = self._sources(rate, seed, replay=replay)
        local = 1 << (self._port_shift + self._vc_shift)
        words = wires.routers << self._word_shift
        pairs = 1 << (2 * self._port_shift)
        self.stats = self._ints([0] * f.STATS)
        self.sources = self._ints(sources)
        self.ports = self._small(ports)
        self.stats[f.SPARE] = packets
        self.stats[f.UNDRAINED] = wires.nodes
        self.stats[f.SHORTEST] = f.NEVER
        self._arrays = (
            self._ints(config), self.stats, self.sources,
            self._zeros(packets << f.PACKET_FIELDS_BITS), self._ints(range(packets)),
            self._ints(self._targets()), self._ints(pattern.trace or (0,)),
            self._ints(self._integers), self._ints(self._fractions), self._floats(rate),
            self._small([0] * (vcs << f.IN_BITS)), self._small(outputs), self.ports,
            self._ints(free), self._zeros(vcs * spec.buffer), self._small(self._where()),
            self._ints(wires.paths or (0,)), self._zeros(words), self._zeros(words),
            self._zeros(words), self._zeros(wires.routers), self._zeros(wires.routers),
            self._zeros(vcs), self._zeros(local), self._zeros(local),
            self._zeros(pairs), self._zeros(local), self._zeros(local),
            *(self._zeros(n) for n in (wheel * room, wheel * room, wheel, wheel * room, wheel)),
        )  # fmt: skip

    def advance(self, until: int) -> int:
        """Run to a cycle, or until there is nothing left to wait for; returns where it stopped."""
        (self._advance or advance)(until, *self._arrays)
        return int(self.stats[f.TIME])

    def link_flits(self) -> tuple[int, ...]:
        """Flits that each link has carried, [links]."""
        ports = (w.router << self._port_shift | w.out for w in self.wires.links)
        return tuple(int(self.ports[port << f.PORT_BITS | f.SENT]) for port in ports)

    def _ints(self, values: Any) -> Any:
        if self._advance is None:
            return list(values)
        import numpy as np

        return _aligned(np.array(values, dtype=np.int64))

    def _small(self, values: Any) -> Any:
        """Numbers that 32 bits hold: caches hold twice as many."""
        if self._advance is None:
            return list(values)
        import numpy as np

        return _aligned(np.array(values, dtype=np.int32))

    def _zeros(self, size: int) -> Any:
        return self._filled(size, 0)

    def _nones(self, size: int) -> Any:
        return self._filled(size, -1)

    def _filled(self, size: int, value: int) -> Any:
        if self._advance is None:
            return [value] * size
        import numpy as np

        return _aligned(np.full(size, value, dtype=np.int64))

    def _floats(self, rate: float) -> Any:
        inverse = [_inverse(rate)]
        if self._advance is None:
            return inverse
        import numpy as np

        return np.array(inverse)

    def _config(
        self, packet_flits: int, rate: float, wheel: int, room: int, *, replay: bool
    ) -> list[int]:
        wires, spec, pattern = self.wires, self.spec, self.pattern
        config = [0] * f.CONFIG
        holds = int(spec.wait_for_tail_credit)
        for field, value in (
            (f.NODES, wires.nodes), (f.ROUTERS, wires.routers), (f.PORT_SHIFT, self._port_shift),
            (f.VC_SHIFT, self._vc_shift), (f.WORD_SHIFT, self._word_shift), (f.VCS, spec.vcs),
            (f.BUFFER, spec.buffer), (f.LIMIT, spec.buffer + holds), (f.HOLDS, holds),
            (f.COINS, int(wires.wraps and any(extent % 2 == 0 for extent in wires.dims))),
            (f.SLOW, int(spec.routing_delay > 0 or spec.vc_alloc_delay > 1)),
            (f.FLITS, packet_flits), (f.DIMS, len(wires.dims)), (f.WRAPS, int(wires.wraps)),
            (f.ROUTING, ROUTINGS[spec.routing or "dimension_order"]),
            (f.ROUTE_DELAY, spec.routing_delay),
            (f.VC_DELAY, spec.vc_alloc_delay),
            (f.SINK_BACK, 1 + NODE_LATENCY + spec.credit_delay), (f.PATTERN, pattern.kind),
            (f.TARGETS, len(pattern.targets) or wires.nodes),
            (f.CHANCE, _ceil_scaled(rate)), (f.RANDOM, f.REPLAY if replay else f.OWN),
            (f.WHEEL, wheel), (f.SLOT, room),
            (f.ALL_VCS, wires.routers << (self._port_shift + self._vc_shift)),
        ):  # fmt: skip
            config[field] = value
        config[f.EXTENT : f.EXTENT + len(wires.dims)] = wires.dims
        return config

    def _lay_ports(self) -> tuple[list[int], list[int], list[int]]:
        """Records of ports and output VCs, and free VCs of ports; those of the sources last."""
        wires, spec = self.wires, self.spec
        first = wires.routers << self._port_shift
        count = first + wires.nodes
        ports = [0] * (count << f.PORT_BITS)
        outputs = [0] * (count << self._vc_shift << f.VC_BITS)
        through = spec.switch_delay + spec.crossbar_delay
        free = [0] * count
        everything = (1 << spec.vcs) - 1
        for wire in wires.links:
            latency = spec.link_latency or wire.latency_cycles
            out = wire.router << self._port_shift | wire.out
            into = wire.to << self._port_shift | wire.into
            free[out] = everything
            at = out << f.PORT_BITS
            ports[at | f.TO] = into << self._vc_shift
            ports[at | f.FLIT_DELAY] = through + latency
            ports[at | f.PERIOD] = wire.flit_cycles
            at = into << f.PORT_BITS
            ports[at | f.BACK] = out << self._vc_shift
            ports[at | f.BACK_DELAY] = spec.switch_delay + latency + spec.credit_delay
        for node, own in enumerate(wires.own_port):
            port = node << self._port_shift | own
            free[port] = free[first + node] = everything
            at = port << f.PORT_BITS
            ports[at | f.TO] = -1
            ports[at | f.FLIT_DELAY] = through + NODE_LATENCY
            ports[at | f.PERIOD] = 1
            ports[at | f.BACK] = (first + node) << self._vc_shift
            ports[at | f.BACK_DELAY] = spec.switch_delay + NODE_LATENCY
            at = (first + node) << f.PORT_BITS
            ports[at | f.TO] = port << self._vc_shift
            ports[at | f.FLIT_DELAY] = 1 + NODE_LATENCY
        fields = (f.FLIT_DELAY, f.BACK_DELAY)
        self._delays = [ports[i << f.PORT_BITS | field] for i in range(count) for field in fields]
        self._delays.append(1 + NODE_LATENCY + spec.credit_delay)
        return ports, outputs, free

    def _sources(self, rate: float, seed: int, *, replay: bool) -> list[int]:
        """Records of the sources; the generators are started for their first packets."""
        if replay:
            self._integers = started(seed, fractions=False)
            self._fractions = started(seed, fractions=True)
        else:
            self._integers = [(seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & ((1 << 63) - 1)]
            self._fractions = [0]
        sources = []
        for node in range(self.wires.nodes):
            comes, trial = f.NEVER, 0
            if self.pattern.kind == f.TRACE:
                comes, trial = self.pattern.first[node], self.pattern.entry[node]
            elif not replay and rate > 0:
                comes = gap(self._integers, [_inverse(rate)])
            sources += [-1, 0, -1, -1, trial, comes, 0, 0]
        return sources

    def _targets(self) -> list[int]:
        nodes = self.wires.nodes
        targets = list(self.pattern.targets[:nodes])
        return targets + [0] * (nodes - len(targets)) + list(self.wires.path_at)

    def _where(self) -> list[int]:
        where = []
        for node in range(self.wires.nodes):
            place = coordinates(node, self.wires.dims)
            where += [*place, *([0] * (4 - len(place)))]
        return where


def _aligned(array: Any) -> Any:
    """The same numbers from the start of a cache line on: a record is then in one of them."""
    import numpy as np

    room = np.empty(array.nbytes + LINE_BYTES, np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    placed = room[start : start + array.nbytes].view(array.dtype)
    placed[:] = array
    return placed


def _inverse(rate: float) -> float:
    """1 / log(1 - p) of geometric gaps; 0 makes every gap 0."""
    return 1 / log(1 - rate) if 0 < rate < 1 else 0.0


def _ceil_scaled(rate: float) -> int:
    """How many of the 2^52 fractions are below a rate."""
    numerator, denominator = rate.as_integer_ratio()
    return -(-(numerator << FRACTION_BITS) // denominator)
