"""An agent that draws: what others have to beat.

python examples/agents/random_agent.py examples/agents/tiny.yaml --designs 24
"""

import argparse

import numpy as np

import archsim


def play(env, designs: int, seed: int) -> list[float]:
    """Rewards of so many steps."""
    env.action_space.seed(seed)
    _, info = env.reset(seed=seed)
    rewards = []
    for _ in range(designs):
        mask = info.get("action_mask")
        action = env.action_space.sample() if mask is None else env.action_space.sample(mask)
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(float(reward))
        if terminated or truncated:
            _, info = env.reset()
    return rewards


def main(argv: list[str] | None = None) -> None:
    """Play, print each gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec")
    parser.add_argument("--designs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", help="folder that keeps every step")
    given = parser.parse_args(argv)
    env = archsim.gym.make(given.spec)
    if given.log:
        env = archsim.gym.Logged(env, given.log)
    rewards = play(env, given.designs, given.seed)
    for step, best in enumerate(np.maximum.accumulate(rewards)):
        if step == 0 or best > max(rewards[:step]):
            print(f"design {step + 1:4d}  best reward {best:+.3f}")
    env.close()


if __name__ == "__main__":
    main()
