"""A workload's `transform:`: which there are, where one is refused, and the model it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsim.core.document import Document
from archsim.lowering.transforms.base import transforms

if TYPE_CHECKING:
    AnyTransform = Any  # a union that grows with the folder is nothing a checker can know
else:
    AnyTransform = transforms.union()


def transformed(name: str, spec: Any, model: Any, document: Document) -> Any:
    """A description as a transform changes it; the same one where there is none.

    Args:
        name: of the model, for messages.
        spec: the transform as the workload gives it, or None.
        model: the description.
        document: where the transform is written.

    Raises:
        InputError: E202 for a model or a layer without depthwise convolutions, E108 for a layer
            that the model has not.
    """
    if spec is None:
        return model
    transform = transforms.get(spec.kind)(spec)
    for found in transform.refusals(name, model):
        raise document.error(("transform", *found.key), found.code, found.message, help=found.help)
    return transform.apply(model)
