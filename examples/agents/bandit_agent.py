"""A bandit for each dimension of a design, all rewarded alike: UCB1 (Auer et al., 2002).

    python examples/agents/bandit_agent.py examples/agents/tiny.yaml --designs 48

Every dimension is an agent of `make_parallel`, or part of one, and knows nothing of the others.
"""

import argparse

import numpy as np

import archsim

WIDTH = 0.5  # of the interval of confidence: rewards differ by about one


class Bandit:
    """Chooses the level with the highest upper bound of its mean reward."""

    def __init__(self, levels: int) -> None:
        self.count = np.zeros(levels)
        self.mean = np.zeros(levels)

    def choose(self) -> int:
        """An untried level, else the most promising one."""
        if not self.count.all():
            return int(np.argmin(self.count))
        slack = np.sqrt(2 * np.log(self.count.sum()) / self.count)
        return int(np.argmax(self.mean + WIDTH * slack))

    def learn(self, level: int, reward: float) -> None:
        """One more reward of a level."""
        self.count[level] += 1
        self.mean[level] += (reward - self.mean[level]) / self.count[level]


def main(argv: list[str] | None = None) -> None:
    """Play, print each gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec")
    parser.add_argument("--designs", type=int, default=48)
    given = parser.parse_args(argv)
    env = archsim.gym.make_parallel(given.spec)
    bandits = {
        agent: [Bandit(levels) for levels in env.action_space(agent).nvec]
        for agent in env.possible_agents
    }
    best = -np.inf
    for step in range(given.designs):
        if not env.agents:
            env.reset()
        actions = {a: np.array([one.choose() for one in own]) for a, own in bandits.items()}
        _, rewards, _, _, infos = env.step(actions)
        for agent, own in bandits.items():
            for bandit, level in zip(own, actions[agent], strict=True):
                bandit.learn(int(level), rewards[agent])
        reward = next(iter(rewards.values()))
        if reward > best:
            best = reward
            settings = next(iter(infos.values()))["settings"]
            print(f"design {step + 1:4d}  best reward {best:+.3f}  {settings}")


if __name__ == "__main__":
    main()
