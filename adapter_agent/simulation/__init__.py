"""Simulated meters, the radio air and a whole building, for the demo, tests and benchmarks."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a building from its file: see `python -m adapter_agent.simulation --help`. The exit code is 0 or 2."""
    from adapter_agent.simulation.command import main as run  # keeps `import adapter_agent.simulation` small

    return run(argv)
