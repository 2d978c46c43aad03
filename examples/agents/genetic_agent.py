"""A genetic agent: the better of two parents, uniform crossover, a mutation now and then.

    python examples/agents/genetic_agent.py examples/agents/tiny.yaml --designs 48

For environments whose steps are designs (kinds `hardware` and `controller`, levels only).
"""

import argparse

import numpy as np

import archsim

POPULATION = 8
MUTATION = 0.2  # of each gene


def evolve(levels: np.ndarray, rng: np.random.Generator):
    """Designs one after the other; each is answered with its reward by `send`."""
    pool = []
    while True:
        if len(pool) < POPULATION:
            child = rng.integers(levels)
        else:
            parents = [max(rng.choice(len(pool), 2), key=lambda i: pool[i][0]) for _ in range(2)]
            mother, father = (pool[i][1] for i in parents)
            child = np.where(rng.random(len(levels)) < 0.5, mother, father)
            child = np.where(rng.random(len(levels)) < MUTATION, rng.integers(levels), child)
        reward = yield child
        pool = sorted([*pool, (reward, child)], key=lambda one: -one[0])[:POPULATION]


def main(argv: list[str] | None = None) -> None:
    """Play, print each gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec")
    parser.add_argument("--designs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    env = archsim.gym.make(given.spec)
    agent = evolve(env.action_space.nvec, np.random.default_rng(given.seed))
    action, best, over = next(agent), -np.inf, True
    for step in range(given.designs):
        if over:
            env.reset()
        _, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        if reward > best:
            best = reward
            print(f"design {step + 1:4d}  best reward {best:+.3f}  {info['settings']}")
        action = agent.send(reward)


if __name__ == "__main__":
    main()
