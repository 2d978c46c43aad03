"""Does every template that is for spatial arrays keep its promises?"""

from archsim.dataflows.base import Dataflow, dataflows
from archsim.testing.nest_contract import NestContract

# one test class per template, so that a failure names it
for kind, plugin in dataflows.items():
    if plugin.search_nest is not Dataflow.search_nest and plugin.stages != "cascade":
        name = f"Test_{kind}"
        globals()[name] = type(name, (NestContract,), {"plugin": plugin})


def test_the_templates_of_spatial_arrays_are_there():
    kinds = {
        k for k, flow in dataflows.items()
        if flow.search_nest is not Dataflow.search_nest and flow.stages != "cascade"
    }  # fmt: skip
    assert kinds >= {
        "row_stationary", "row_stationary_groups", "channel_parallel", "spatial",
        "weight_stationary", "output_stationary", "input_stationary",
    }  # fmt: skip
