"""Does every registered plug-in keep its promises?"""

from archsim.components.base import engines
from archsim.dataflows.base import dataflows
from archsim.interconnect.base import Topology, links
from archsim.memory.base import memories
from archsim.testing import contracts
from archsim.testing.networks import TopologyContract

ROOMS = {
    contracts.EngineContract: engines,
    contracts.MemoryContract: memories,
    contracts.LinkContract: links,
    TopologyContract: links,
    contracts.DataflowContract: dataflows,
    contracts.AttentionContract: dataflows,
    contracts.LineContract: dataflows,
    contracts.CascadeContract: dataflows,
}
STAGES = {
    contracts.DataflowContract: "product",
    contracts.AttentionContract: "attention",
    contracts.LineContract: "line",
    contracts.CascadeContract: "cascade",
}

# one test class per plug-in, so that a failure names it
for contract, registry in ROOMS.items():
    for kind, plugin in registry.items():
        if getattr(plugin, "stages", None) != STAGES.get(contract):
            continue
        if registry is links and issubclass(plugin, Topology) != (contract is TopologyContract):
            continue
        name = f"Test_{kind}"
        globals()[name] = type(name, (contract,), {"plugin": plugin})
