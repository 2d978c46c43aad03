"""Named traces of sets that say how they compute products, such as `gemv:4096x4096`.

Sizes are per channel, as in `named`; which command writes inputs, multiplies and reads results is
what the set says, so one text serves them all. How long a product takes at best, in which order,
is in `products`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from archsim.core.errors import InputError, nearest
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.named import LANE_BYTES
from archsim.memory.pim.product_form import ProductForm
from archsim.memory.pim.trace import PimTrace, Step, lane_banks
from archsim.memory.standard import Device

FORMS = {"gemv": "OUTPUTSxINPUTS", "mac": "COLUMNSxROWS"}
_SIZES = re.compile(r"([1-9]\d*)x([1-9]\d*)")


def product_trace(name: str, mask: int, commands: CommandSet, device: Device) -> PimTrace:
    """The trace of a name with sizes.

    Raises:
        InputError: E108 for an unknown name, E105 for sizes that are none.
    """
    word, _, sizes = name.partition(":")
    if word not in FORMS:
        close = nearest(word, FORMS)
        raise InputError(
            f'trace "{word}" is not one of {", ".join(FORMS)}', code="E108",
            help=f'did you mean "{close}"?' if close else "or a trace file, or a description",
        )  # fmt: skip
    found = _SIZES.fullmatch(sizes)
    if not found:
        raise InputError(
            f'"{name}" has no sizes', code="E105", help=f"{word}:{FORMS[word]}, such as {word}:32x4"
        )
    assert commands.product is not None
    made = _Stream(commands, commands.product, mask, device)
    first, second = int(found[1]), int(found[2])
    if word == "mac":
        steps = [made.step(made.product.mac, first, row % device.rows) for row in range(second)]
    else:
        steps = list(made.gemv(first, second))
    return PimTrace.of(name, steps, commands)


class _Stream:
    """Steps of products, and the place in the banks up to which their matrix has been read."""

    def __init__(
        self, commands: CommandSet, product: ProductForm, mask: int, device: Device
    ) -> None:
        self.commands, self.product, self.mask, self.device = commands, product, mask, device
        self.columns = device.columns // device.prefetch
        self.lanes = int(device.access_bytes) // LANE_BYTES
        self.read = 0
        self.names = {form.command: name for name, form in reversed(commands.instructions.items())}
        same = commands.commands[product.mac].scope == "same_bank"
        # Banks of one number work together: those of another are opened meanwhile.
        self.turns = device.counts["bank"] if same else 1
        self.halves = max(1, product.open_banks // product.banks_at_once)

    def step(self, command: str, times: int = 1, row: int = 0, bank: int = 0) -> Step:
        """One instruction."""
        name = self.names[command]
        fields = self.commands.instructions[name].fields
        return Step(
            name, times if "opsize" in fields else 1, self.mask,
            bank if "bank" in fields else -1, row if "row" in fields else -1,
        )  # fmt: skip

    def gemv(self, outputs: int, inputs: int) -> Iterator[Step]:
        """A matrix with a vector: sums that a unit cannot keep are read back for each chunk."""
        product = self.product
        held = product.results_per_unit
        groups = [min(held, left) for left in range(-(-outputs // product.banks_at_once), 0, -held)]
        width = self.columns * self.lanes
        chunk = min(product.input_bytes // LANE_BYTES or width, width)
        chunks = [min(chunk, inputs - start) for start in range(0, inputs, chunk)]
        if held == 1:
            for size in chunks:
                yield from self._inputs(size)
                for group in groups:
                    yield from self._macs(size, group)
                    yield from self._results(group)
            return
        for group in groups:
            for size in chunks:
                yield from self._inputs(size)
                yield from self._macs(size, group)
            yield from self._results(group)

    def _inputs(self, size: int) -> Iterator[Step]:
        if self.product.input is not None:
            yield self.step(self.product.input, -(-size // self.lanes))

    def _macs(self, size: int, outputs: int) -> Iterator[Step]:
        left = -(-size // self.lanes) * outputs
        while left:
            place, column = divmod(self.read, self.columns)
            took = min(left, self.columns - column)
            row, bank = divmod(place // self.halves, self.turns)
            yield self.step(self.product.mac, took, row % self.device.rows, bank)
            self.read += took
            left -= took

    def _results(self, outputs: int) -> Iterator[Step]:
        product = self.product
        if product.result is None:
            return
        count = -(-outputs * product.banks_at_once // (product.results_at_once or 1))
        for i in range(count):
            bank = i * self.device.counts["bank"] % lane_banks(self.device)
            yield self.step(product.result, 1, self.device.rows - 1, bank)
