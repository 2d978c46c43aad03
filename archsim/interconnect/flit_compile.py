"""Machine code of the flit simulator, made at first use where numba is installed.

Its functions call each other, so each is compiled with those that it calls. The answer of a run
does not depend on it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from archsim.interconnect import (
    flit_adaptive,
    flit_bits,
    flit_cycle,
    flit_fields,
    flit_random,
    flit_route,
    flit_router,
    flit_source,
)

MODULES = (
    flit_fields, flit_random, flit_route, flit_adaptive, flit_source, flit_router, flit_cycle,
)  # fmt: skip


@functools.cache
def compiled() -> Callable[..., None] | None:
    """Machine code of `flit_cycle.advance`, or None where numba is not installed.

    numba keeps it beside the modules, or in the user's cache folder when that cannot be written.
    Its name there carries a digest of all their text: a change in one is never met with old code
    of another. What would take most of the time is left out: counts of references to arrays
    (`_nrt`; nothing here allocates), calls that pass dozens of arrays (all become parts of
    `advance`), and asking of each index whether it counts from the end.
    """
    try:
        from numba import njit
    except ImportError:
        return None
    here = sys.modules[__name__]
    text = "".join(inspect.getsource(module) for module in (*MODULES, flit_bits, here))
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    jit: Any = njit  # its stubs do not know `_nrt`
    made = flit_bits.machine()
    for module in MODULES:
        for function in _functions(module):
            twin = FunctionType(function.__code__, {**vars(module), **made}, function.__name__)
            twin.__qualname__ = f"{function.__name__}_{digest}"
            twin.__module__ = module.__name__
            inner = function.__name__ != "advance"
            within = inner and function.__name__ != "refill"  # which is rare and long
            made[function.__name__] = jit(
                cache=not inner, forceinline=within, _nrt=False, no_cpython_wrapper=inner,
                no_cfunc_wrapper=True,
            )(twin)  # fmt: skip
    advance: Callable[..., None] = made["advance"]
    return advance


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Functions of a module, with indices of their arrays taken by `index`."""
    tree = ast.parse(inspect.getsource(module))
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            names = {arg.arg for arg in function.args.args if _is_array(arg)}
            _Indices(names).visit(function)
    space: dict[str, Any] = {"__name__": module.__name__}
    exec(compile(ast.fix_missing_locations(tree), str(module.__file__), "exec"), space)
    for made in space.values():
        if isinstance(made, FunctionType) and made.__module__ == module.__name__:
            yield made


def _is_array(arg: ast.arg) -> bool:
    return isinstance(arg.annotation, ast.Name) and arg.annotation.id == "Any"


class _Indices(ast.NodeTransformer):
    """`array[i]` becomes `array[index(i)]`."""

    def __init__(self, arrays: set[str]) -> None:
        self.arrays = arrays

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self.arrays:
            node.slice = ast.Call(ast.Name("index", ast.Load()), [node.slice], [])
        return node
