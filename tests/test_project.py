"""One list of parameters and one of dependencies, and imports that run one way."""

import subprocess
import sys
import tomllib

import pytest
import yaml

from benchmark import cli, parameters, project
from benchmark.errors import InputError
from benchmark.jobs.configs import CompareConfig


def test_mlproject_has_the_commands_parameters_and_defaults_of_the_command_line():
    entries = yaml.safe_load((project.ROOT / "MLproject").read_text())
    assert entries["conda_env"] == "conda.yaml"
    assert set(entries["entry_points"]) == set(cli.main.commands)
    for name, command in cli.main.commands.items():
        entry = entries["entry_points"][name]
        declared = {key: value["default"] for key, value in entry.get("parameters", {}).items()}
        assert declared == {option.name: option.default for option in command.params}
        for option in command.params:
            assert f"--{option.name} {{{option.name}}}" in entry["command"] and option.help
    assert (project.ROOT / "MLproject").read_text() == project.mlproject()


def test_conda_yaml_pins_exactly_the_dependencies_of_pyproject():
    environment = yaml.safe_load((project.ROOT / "conda.yaml").read_text())
    (pip,) = (item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    declared = tomllib.loads((project.ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [item.split("==")[0] for item in pip] == declared
    assert all(item.count("==") == 1 and not item.startswith("-") for item in pip)
    assert (project.ROOT / "conda.yaml").read_text() == project.conda()


def test_required_packages_are_dependencies():
    pinned = {item.split("==")[0] for item in project.dependencies()}
    assert pinned >= {
        "mlflow", "torch", "transformers", "open_clip_torch", "timm", "datasets", "scikit-learn", "pandas", "streamlit"
    }  # fmt: skip


def test_imports_run_one_way():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=project.ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "0 broken" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "module", ["benchmark.cli", "registry", "benchmark.datasets", "benchmark.encoders", "benchmark.sae"]
)
def test_importing_costs_no_heavy_library(module):
    heavy = ("torch", "mlflow", "transformers", "timm", "open_clip", "plotly")
    script = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=project.ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_texts_become_typed_values_and_back():
    texts = parameters.defaults(CompareConfig) | {
        "seeds": "3, 4",
        "k": "16",
        "encoders": "a,b",
        "learning_rate": "1e-3",
    }
    config = parameters.parse(CompareConfig, texts)
    assert (config.seeds, config.k, config.encoders, config.learning_rate) == ((3, 4), 16, ("a", "b"), 1e-3)
    assert parameters.parse(CompareConfig, parameters.defaults(CompareConfig)) == CompareConfig()
    with pytest.raises(InputError, match="seeds must be a whole number, got 'x'"):
        parameters.parse(CompareConfig, texts | {"seeds": "1,x"})


def test_an_unknown_command_suggests_the_one_that_was_meant():
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "comapre"], cwd=project.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and "did you mean compare" in done.stderr
