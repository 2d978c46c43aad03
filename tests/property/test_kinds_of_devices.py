"""Whatever kind of device runs which op: is the model computed, once, and what is needed sent?"""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.ir.parallel import KIND, ParallelPlan
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.kinds import over_kinds
from archsim.parallel.partition import partition
from archsim.testing.functional_parallel import mistakes

CONFIG = {
    "architecture": "transformer", "layers": 2, "hidden": 16, "heads": 8, "kv_heads": 4,
    "head_dim": 4, "ffn": 32, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 23, "moe": {"experts": 4, "top_k": 2, "ffn": 16, "shared": 1},
}  # fmt: skip
PHASES = [
    {"kind": "decode", "batch": 4, "context": 8},
    {"kind": "prefill", "batch": 4, "tokens": 4},
]
PLANS = [{"tensor": 1}, {"tensor": 2}, {"tensor": 2, "experts": "dealt"}, {"tensor": 4}]
ATTENTION = ("attention_score", "attention_value")
CACHE = ("kv_append", *ATTENTION)  # of decoding tokens, in one place
KINDS = ["first", "second", "third"]


def shared_out(phase, plan, draw):
    """A partition over kinds that are drawn for each op; none may be without."""
    data = {"schema": "archsim.workload/1", "name": "tiny", "model": {"config": CONFIG},
            "phase": phase}  # fmt: skip
    graph = lower(load_workload(data)[0])
    chosen = {}

    def homes(of):
        found = {}
        for block, op in of.ops():
            if not op.collective:
                together = CACHE if phase is PHASES[0] else ATTENTION
                key = "attention" if op.op_class in together else op.name
                chosen.setdefault(key, draw(st.integers(0, len(KINDS) - 1)))
                found[f"{block.name}/{op.name}"] = chosen[key]
        return found

    alike = partition(graph, ParallelPlan(**plan), ParallelPlan(**plan).devices)
    try:
        return alike, over_kinds(alike, KINDS, homes)
    except InputError:
        assume(set(chosen.values()) == set(range(len(KINDS))))
        raise


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from(PHASES), st.sampled_from(PLANS))
def test_all_kinds_together_compute_what_one_device_would(data, phase, plan):
    alike, found = shared_out(phase, plan, data.draw)
    assert list(mistakes(found)) == []
    count = found.plan.of_a_kind
    assert found.plan.devices == 3 * count == 3 * alike.plan.devices
    numbers = sorted(d for share in found.shares for d in share.devices)
    assert numbers == list(range(3 * count))
    for total in (macs, weights, cached, appended):
        assert total(found) == total(alike)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from(PHASES), st.sampled_from(PLANS))
def test_every_message_is_received_in_the_order_in_which_it_is_sent(data, phase, plan):
    _, found = shared_out(phase, plan, data.draw)
    sent, got = {}, {}
    for share in found.shares:
        for device in share.devices:
            kind = device // found.plan.of_a_kind
            for block, op in share.graph.ops():
                if op.collective is None or op.collective.axis != KIND:
                    continue
                far = device + op.collective.peer * found.plan.of_a_kind
                send = op.collective.pattern == "send"
                names = tuple(a.tensor for a in (op.reads if send else op.writes))
                way = (device, far) if send else (far, device)
                assert 0 <= kind + op.collective.peer < len(KINDS)
                (sent if send else got).setdefault(way, []).append(
                    (block.name, block.count, op.collective.size_bytes, names)
                )
    assert sent == got


def each(found, total):
    return sum(len(share.devices) * total(share.graph) for share in found.shares)


def macs(found):
    return each(found, lambda graph: graph.macs())


def weights(found):
    return each(found, lambda graph: graph.stored_bytes(Role.WEIGHT))


def cached(found):
    return each(found, lambda graph: graph.stored_bytes(Role.KV_CACHE))


def appended(found):
    return each(found, lambda graph: graph.write_bytes(Role.KV_CACHE))
