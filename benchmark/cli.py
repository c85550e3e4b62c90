"""The command line, `python -m benchmark`: one command per entry point of MLproject, with the same parameters."""

import gc
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from benchmark import parameters
from benchmark.errors import InputError, WorkError, unknown
from benchmark.jobs import configs, experiment_configs

# Command -> (its config, module and function); modules load when the command runs.
COMMANDS: dict[str, tuple[type, str, str]] = {
    "compare": (configs.CompareConfig, "benchmark.jobs.compare", "compare"),
    "train": (configs.TrainJobConfig, "benchmark.jobs.train", "train_suite"),
    "sweep": (configs.SweepConfig, "benchmark.jobs.sweep", "sweep"),
    "layers": (experiment_configs.LayersConfig, "benchmark.jobs.layers", "compare_layers"),
    "reproduce": (experiment_configs.ReproduceConfig, "benchmark.jobs.reproduce", "reproduce"),
    "stability": (experiment_configs.StabilityConfig, "benchmark.jobs.stability", "stability"),
    "consistency": (experiment_configs.ConsistencyConfig, "benchmark.jobs.consistency", "consistency"),
    "name": (experiment_configs.NameConfig, "benchmark.jobs.name", "name"),
    "select": (experiment_configs.SelectConfig, "benchmark.jobs.select", "select"),
    "health": (experiment_configs.HealthConfig, "benchmark.jobs.health", "health"),
    "sharedness": (experiment_configs.SharednessConfig, "benchmark.jobs.sharedness", "sharedness"),
    "drift": (experiment_configs.DriftConfig, "benchmark.jobs.drift", "drift"),
    "validate": (configs.ValidateConfig, "benchmark.jobs.validate", "validate"),
    "pretrain": (configs.PretrainConfig, "benchmark.jobs.pretrain", "pretrain"),
    "export": (configs.ExportConfig, "benchmark.jobs.exchange", "export"),
    "push": (configs.PushConfig, "benchmark.jobs.exchange", "push"),
    "pull": (configs.PullConfig, "benchmark.jobs.exchange", "pull"),
    "status": (configs.StatusConfig, "benchmark.jobs.status", "status"),
    "gc": (configs.GcConfig, "benchmark.jobs.collect", "collect"),
    "verify": (configs.VerifyConfig, "benchmark.jobs.verify", "verify"),
    "report": (configs.ReportConfig, "benchmark.jobs.report_job", "write_report"),
    "encoders": (configs.EncodersConfig, "benchmark.jobs.listing", "encoders"),
    "datasets": (configs.DatasetsConfig, "benchmark.jobs.listing", "datasets"),
    "suites": (configs.SuitesConfig, "benchmark.jobs.listing", "suites"),
}


class Commands(click.Group):
    """A group that suggests the command that was meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command or say which one may have been meant."""
        if args and args[0] not in self.commands:
            raise click.UsageError(str(unknown("command", args[0], self.commands)), ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """Find which concepts visual, textual and multimodal encoders share, and how sure that is.

    Every command is an entry point of MLproject too: `mlflow run . -e compare -P dataset=PATH` is
    `python -m benchmark compare --dataset PATH`.
    """


def _command(name: str, config: type, module: str, function: str) -> click.Command:
    def run(**texts: str) -> None:
        job: Callable[[Any], int] = getattr(import_module(module), function)
        sys.exit(job(parameters.parse(config, texts)))

    sentences = parameters.docs(config)
    otherwise = "as the suite says" if issubclass(config, configs.RunConfig) else False
    options = []
    for field, default in parameters.defaults(config).items():
        switch = parameters.is_switch(config, field)
        # A switch needs no value on the command line but takes one: MLproject gives every parameter one.
        value: dict[str, Any] = {"flag_value": "true"} if switch else {}
        options.append(
            click.Option(
                sorted({f"--{field}", f"--{field.replace('_', '-')}"}) + [field],
                default=default,
                show_default=True if default else otherwise,
                help=sentences[field],
                metavar="[true|false]" if switch else "VALUE",
                is_flag=False,
                **value,
            )
        )
    return click.Command(name, callback=run, params=list(options), help=config.__doc__)


for _name, _entry in COMMANDS.items():
    main.add_command(_command(_name, *_entry))


def run() -> None:
    """Run the command line; a user's mistake ends in one sentence and exit code 2, failed work in exit code 1."""
    # Must be set before torch loads. Threads of idle OpenMP teams would spin, and there is a team for each thread that
    # prepares batches: on few cores that doubles the time of everything.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Libraries make millions of objects that stay: looking through them for garbage as often as Python does by default
    # is a tenth of the time until a small job's end.
    gc.set_threshold(50_000, 10, 10)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's: runs end KILLED, as on Ctrl-C
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # names may hold what a terminal cannot show
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; finished work is kept and will be reused.", err=True)
        sys.exit(130)
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except (WorkError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
