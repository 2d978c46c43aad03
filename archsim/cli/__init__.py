"""The command line: one file a verb, each of which parses, calls the library and prints.

`main` is the program. How verbs are found and how errors become exit codes is in `_app`; the flags
they share are in `_options`, how results reach the terminal is in `_output`.
"""

import gc
from collections.abc import Sequence

YOUNG = (
    100_000  # objects made between two collections: at the default of 700 they cost 15 % of a run
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program on some arguments (default: those of the process), then exit."""
    gc.set_threshold(YOUNG)
    try:
        from archsim.cli._app import build

        # not list(): a verb of that name is an attribute of this package
        build()(args=None if argv is None else [*argv], prog_name="archsim")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
