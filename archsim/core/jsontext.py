"""JSON text over several lines, byte for byte as the standard library writes it, but faster.

`json.dumps` with an indent walks its data in plain Python, a generator for each level; here are
plain functions that return text. For what is no plain data the library itself is asked.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

WORDS = {None: "null", True: "true", False: "false"}


def indented(data: Any) -> str:
    """The text of `json.dumps(data, indent=1, ensure_ascii=False)`.

    Raises:
        TypeError: for what JSON cannot hold.
    """
    return _value(data, "\n ")


def _value(data: Any, newline: str) -> str:
    """Text of a value; `newline` goes before each of its members."""
    kind = type(data)
    if kind is str:
        return encode_basestring(data)
    if kind is int or (kind is float and isfinite(data)):
        return repr(data)
    if kind is bool or data is None:
        return WORDS[data]
    if kind is dict and data:
        deeper = newline + " "
        members = [
            f"{encode_basestring(key) if type(key) is str else _key(key)}: {_value(one, deeper)}"
            for key, one in data.items()
        ]
        return "{" + newline + ("," + newline).join(members) + newline[:-1] + "}"
    if kind in (list, tuple) and data:
        deeper = newline + " "
        each = [_value(one, deeper) for one in data]
        return "[" + newline + ("," + newline).join(each) + newline[:-1] + "]"
    return _seldom(data, newline)


def _seldom(data: Any, newline: str) -> str:
    """Text of empty lists, of numbers that are none, and of values of classes of their own."""
    if isinstance(data, dict | list | tuple) and data:
        return _value(dict(data) if isinstance(data, dict) else list(data), newline)
    return json.dumps(data, ensure_ascii=False)


def _key(key: Any) -> str:
    """Text of a key that is no string: a number or a truth value, as a string."""
    return json.dumps({key: 0}, ensure_ascii=False)[1:-4]
