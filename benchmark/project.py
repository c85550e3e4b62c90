"""Renders `MLproject` and `conda.yaml` from their sources: the commands' configs, and the dependencies of pyproject.

`python -m benchmark.project` writes both; the tests prove that the files are current.
"""

import re
import tomllib
from pathlib import Path

from benchmark import parameters
from benchmark.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"


def dependencies(root: Path = ROOT) -> list[str]:
    """Return pyproject's dependencies, each with the exact pin of constraints.txt; raises KeyError for one without."""
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    lines = (line.split("#")[0].strip() for line in (root / "constraints.txt").read_text().splitlines())
    pins = dict(line.split("==", 1) for line in lines if line)
    by_name = {_normal(name): version for name, version in pins.items()}
    return [f"{name}=={by_name[_normal(name)]}" for name in declared]


def conda(root: Path = ROOT) -> str:
    """Return the text of conda.yaml."""
    pinned = "\n".join(f"      - {item}" for item in dependencies(root))
    return (
        "# Written by `python -m benchmark.project` from pyproject.toml and constraints.txt.\n"
        f"name: shared-concepts\nchannels:\n  - conda-forge\ndependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n"
        f"{pinned}\n"
    )


def mlproject() -> str:
    """Return the text of MLproject."""
    lines = [
        "# Written by `python -m benchmark.project` from the commands of `python -m benchmark`.",
        "name: shared-concepts",
        "conda_env: conda.yaml",
        "entry_points:",
    ]
    for command, (config, _, _) in COMMANDS.items():
        found = parameters.defaults(config)
        lines += [f"  {command}:"]
        if found:
            lines += ["    parameters:"]
            lines += [f'      {name}: {{type: string, default: "{value}"}}' for name, value in found.items()]
        options = "".join(f" --{name} {{{name}}}" for name in found)
        lines += [f'    command: "python -m benchmark {command}{options}"']
    return "\n".join(lines) + "\n"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    (ROOT / "conda.yaml").write_text(conda())
    (ROOT / "MLproject").write_text(mlproject())
