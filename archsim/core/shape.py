"""What a description may contain at a path: its JSON Schema, walked along the data.

Used for help texts and overrides only (which keys exist here, which example fits, which neighbour
holds this kind of quantity). It never decides whether a file is valid; pydantic does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsim.core.document import Path_

Schema = dict[str, Any]


class Shape:
    """A JSON Schema that can be asked about a path of some data."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def keys(self, path: Path_, data: Any) -> dict[str, Schema]:
        """Keys that a mapping at a path may have, with their schemas; empty where any may."""
        nodes, _ = self._walk(path, data)
        found: dict[str, Schema] = {}
        for node in nodes:
            found |= node.get("properties", {})
            names = self._resolve(node.get("propertyNames", {}))
            found |= {
                name: node.get("additionalProperties", {})
                for name in names.get("enum", ())
                if isinstance(name, str)
            }
        return found

    def knows(self, path: Path_, data: Any) -> bool:
        """True when the last part of a path is a key that the schema names."""
        return path[-1] in self.keys(path[:-1], data)

    def free(self, path: Path_, data: Any) -> bool:
        """True when a mapping at a path may have keys of the user's choice."""
        nodes, _ = self._walk(path, data)
        return any(n.get("additionalProperties") and "propertyNames" not in n for n in nodes)

    def examples(self, path: Path_, data: Any) -> list[Any]:
        """Examples of a value at a path."""
        nodes, _ = self._walk(path, data)
        return [e for n in nodes for e in n.get("examples", ())] or [
            n[word] for n in nodes for word in ("const", "default") if n.get(word) is not None
        ]

    def with_dimension(self, path: Path_, data: Any, dimension: str) -> list[str]:
        """Keys of a mapping at a path that hold a quantity of some dimension."""
        return sorted(
            key
            for key, node in self.keys(path, data).items()
            if any(n.get("x-dimension") == dimension for n in self._options(node, None))
        )

    def version(self) -> str | None:
        """The `schema:` that a file of this kind declares, such as `archsim.hardware/1`."""
        node = self.keys((), {}).get("schema", {})
        value = node.get("const")
        return value if isinstance(value, str) else None

    def _walk(self, path: Path_, data: Any) -> tuple[list[Schema], Any]:
        """Schemas that may describe the value at a path, and the value (None if absent)."""
        nodes = self._options(self.schema, data)
        for part in path:
            data = _child(data, part)
            below = [n for node in nodes for n in _below(node, part)]
            nodes = [option for node in below for option in self._options(node, data)]
        return nodes, data

    def _resolve(self, node: Schema) -> Schema:
        """A schema with its reference followed; the keys beside the reference are kept."""
        while "$ref" in node:
            target = self.schema.get("$defs", {}).get(node["$ref"].rpartition("/")[2], {})
            node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
        return node

    def _options(self, node: Schema, value: Any) -> list[Schema]:
        """The alternatives of a schema; only the one that `value` chooses, where it does."""
        node = self._resolve(node)
        several = node.get("oneOf") or node.get("anyOf") or node.get("allOf")
        if not several:
            return [node]
        chooser = node.get("discriminator", {})
        chosen = _child(value, chooser.get("propertyName", ""))
        if isinstance(chosen, str) and chosen in chooser.get("mapping", {}):
            return self._options({"$ref": chooser["mapping"][chosen]}, value)
        extra = {k: v for k, v in node.items() if k in ("examples", "default")}
        return [{**o, **extra} for n in several for o in self._options(n, value)]


def _child(value: Any, part: str | int) -> Any:
    if isinstance(value, dict) and isinstance(part, str):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _below(node: Schema, part: str | int) -> list[Schema]:
    """Schemas of an entry of a mapping or list."""
    if isinstance(part, int):
        fixed = node.get("prefixItems", [])
        found = fixed[part] if part < len(fixed) else node.get("items")
    else:
        found = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return [found] if isinstance(found, dict) else []
