"""How the program is put together: verbs are the files of this folder, errors become exit codes.

A verb is a public module with a `command` function and two EXAMPLES. It may raise anything: every
ending passes `guarded`, which turns errors into text and a status.
"""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import typer

from archsim import __version__
from archsim.core.errors import EXIT_FAULT, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK, ArchsimError

ABOUT = """Latency, energy and area of real models on accelerators described in YAML.

HARDWARE and WORKLOAD are shipped names (see `archsim list`) or paths of your own files. Start with
`archsim quickstart`.
"""
STATUSES = """\b
Exit status: 0 done, 1 fault of archsim, 2 usage, 3 input, 4 unsupported model
or op, 5 does not fit, 6 stopped, 7 outside tolerance, 8 extra missing,
9 failed designs in a study, 130 interrupted.
"""


def verbs() -> dict[str, ModuleType]:
    """Every verb by name: the public modules of this folder; `import_` is the verb `import`."""
    package = importlib.import_module("archsim.cli")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    public = [name for name in names if not name.startswith("_")]
    return {name.rstrip("_"): importlib.import_module(f"archsim.cli.{name}") for name in public}


def build() -> typer.Typer:
    """The program with all its verbs."""
    app = typer.Typer(
        name="archsim",
        help=ABOUT,
        epilog=STATUSES,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,  # plain help: quick, and the same in a pipe
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    )
    app.callback()(_common)
    for name, module in verbs().items():
        examples = "\n".join(f"  {line}" for line in module.EXAMPLES)
        app.command(
            name,
            help=module.command.__doc__,
            short_help=(module.command.__doc__ or "").partition("\n")[0].removesuffix("."),
            epilog=f"\b\nExamples:\n{examples}",
            no_args_is_help=bool(getattr(module, "NEEDS_ARGUMENTS", False)),
        )(guarded(module.command))
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"archsim {__version__}")
        raise typer.Exit


def _common(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    pass


_common.__doc__ = ABOUT


def guarded(verb: Callable[..., None]) -> Callable[..., None]:
    """The same verb, with every way it can end turned into a message and an exit status."""

    @wraps(verb)
    def call(*args: Any, **kwargs: Any) -> None:
        try:
            verb(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, typer.BadParameter):
            raise
        except ArchsimError as error:
            _show(error, as_json=kwargs.get("fmt") == "json")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("archsim: interrupted; no file is half written", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(EXIT_OK) from None
        except OSError as error:  # a folder that cannot be written, a full disk
            typer.echo(f"error: {error.filename or 'a file'}: {error.strerror}", err=True)
            raise typer.Exit(EXIT_INPUT) from None
        except Exception as error:
            typer.echo(f"archsim: internal fault: {_save(error)}", err=True)
            raise typer.Exit(EXIT_FAULT) from None

    return call


def _show(error: ArchsimError, *, as_json: bool) -> None:
    """Print an error: text on stderr, or the one JSON document that stdout then holds."""
    if as_json:
        import json

        typer.echo(json.dumps(error.to_dict(), indent=2))
    else:
        typer.echo(error.render(), err=True)


def _save(error: Exception) -> str:
    """Write the traceback to a temporary file; returns one line for people."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="archsim-fault-", suffix=".txt", delete=False
    ) as file:
        file.write(f"archsim {__version__}: {' '.join(sys.argv)}\n\n")
        file.writelines(traceback.format_exception(error))
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{what[:200]} (traceback in {file.name})"


def _forget_stdout() -> None:
    """The reader of our output has left: send the rest nowhere, silently."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
