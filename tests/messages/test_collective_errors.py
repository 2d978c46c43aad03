"""Does a collective that cannot be carried out say why, and what could be?"""

import pytest
from pydantic import ValidationError

from archsim.core.errors import InputError
from archsim.interconnect.base import links
from archsim.interconnect.collective_options import CollectiveOptions
from archsim.interconnect.collectives import exchange
from archsim.ir.collective import Collective


def refused(what, groups, options=None, **spec):
    spec = (spec or {"kind": "switch", "devices": 8}) | {"bandwidth": "9 GB/s", "latency": "1 us"}
    cls = links.get(spec["kind"])
    with pytest.raises(InputError) as caught:
        exchange(cls("net", cls.Spec.model_validate(spec)).fabric(), what, groups, options)
    return caught.value.render()


def test_an_empty_group_is_refused():
    what = Collective("all_reduce", "tensor", 0, 64)
    text = "error[E202]: all_reduce over tensor: a group is empty"
    assert refused(what, ()) == text
    assert refused(what, ((),)) == text


def test_groups_of_another_size_and_devices_that_there_are_not_are_refused():
    what = Collective("all_gather", "expert", 4, 64)
    assert refused(what, ((0, 1), (2, 3))) == (
        "error[E202]: all_gather over expert: groups of 2 devices, not 4"
    )
    assert refused(what, ((5, 6, 7, 8),)) == (
        "error[E202]: all_gather over expert: device 8 is not one of the network's 8"
    )
    short = Collective("all_to_all", "expert", 2, 64, sent_bytes=(1, 2))
    assert refused(short, ((0, 1),)) == (
        "error[E202]: all_to_all over expert: 2 counts for blocks between devices, not 4"
    )


def test_an_algorithm_that_does_not_fit_says_why():
    six = (tuple(range(6)),)
    what = Collective("all_gather", "tensor", 6, 64, algorithm="halving_doubling")
    assert refused(what, six) == (
        "error[E203]: halving_doubling cannot carry out all_gather over tensor\n"
        "      = help: halving_doubling: 6 devices are no power of two"
    )
    what = Collective("all_gather", "tensor", 6, 64, algorithm="bucket")
    assert refused(what, six).endswith("help: bucket: the network is no grid")
    assert refused(what, ((0, 1, 2, 3, 4, 6),), kind="torus", dims=(4, 2)).endswith(
        "help: bucket: groups are not alike blocks of the grid, in its order"
    )
    what = Collective("all_reduce", "tensor", 6, 64, algorithm="switched")
    assert refused(what, six).endswith("help: switched: the network does not reduce")
    what = Collective("all_reduce", "tensor", 6, 64, algorithm="hierarchical")
    assert refused(what, six).endswith("help: hierarchical: the network has one level")


def test_an_algorithm_of_another_pattern_is_refused():
    what = Collective("broadcast", "tensor", 8, 64, algorithm="bruck")
    assert refused(what, (tuple(range(8)),)) == (
        'error[E203]: no algorithm "bruck" for broadcast\n'
        "      = help: one of direct, ring, scatter_gather, tree"
    )
    with pytest.raises(ValidationError) as caught:
        CollectiveOptions(algorithms={"gather": "tree"})
    assert 'no algorithm "tree" for gather' in str(caught.value)
