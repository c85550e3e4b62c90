"""The job that trains the small encoders that ship with the project."""

from pathlib import Path
from typing import Any

from benchmark.errors import InputError, unknown
from benchmark.jobs import tracking
from benchmark.jobs.configs import PretrainConfig
from benchmark.jobs.results import CACHE, raise_failures
from benchmark.pretraining.build import MODELS, Report, build, read_report
from benchmark.pretraining.cards import write_cards


def pretrain(config: PretrainConfig) -> int:
    """Run the `pretrain` command; returns its exit code."""
    _check(config)
    import mlflow

    tracking.open_store()
    output = Path(config.output)
    params = {
        "models": ",".join(config.models),
        "samples": config.samples,
        "epochs": config.epochs,
        "seed": config.seed,
    }
    failed: dict[str, str] = {}
    with tracking.job_run("pretrain", "pretrain", tags={}, params=params) as run:
        for name in config.models:
            model = MODELS[name]
            try:
                report = build(
                    name, output, samples=config.samples or model.samples, epochs=config.epochs or model.epochs,
                    seed=config.seed, cache=CACHE,
                )  # fmt: skip
            except Exception as error:  # the other checkpoints are trained all the same
                failed[name] = str(error) or type(error).__name__
                continue
            mlflow.log_artifacts(str(report.folder), f"checkpoints/{name}")
            tracking.log_metrics({"seconds/" + name: report.seconds, **_figures(report)})
        reports = [read_report(output / name) for name in MODELS if (output / name).is_dir()]
        cards = output.parent / "encoders" / "small.yaml"
        if reports:
            write_cards(reports, cards)
            mlflow.log_artifact(str(cards))
        for report in reports:
            for tower, metrics in report.metrics.items():
                print(f"\n{tower} ({report.samples:,} samples, {report.epochs} epochs, {report.seconds:.0f} s)")
                for name, value in _flat(metrics).items():
                    print(f"  {name:<40} {value:.3f}")
        print(f"\nRun {run.info.run_id}; cards: {cards} (compare them with -P encoders={cards})")
        raise_failures(failed, complete=len(set(config.models) - set(failed)))
    return 0


def _check(config: PretrainConfig) -> None:
    if not config.models:
        raise InputError(f"models names no checkpoint; choose among {', '.join(MODELS)}.")
    for name in config.models:
        if name not in MODELS:
            raise unknown("checkpoint", name, MODELS)
    for name in ("samples", "epochs", "seed"):
        if getattr(config, name) < 0:
            raise InputError(f"{name} must be at least 0, got {getattr(config, name)}.")


def _figures(report: Report) -> dict[str, float]:
    return {
        f"{tower}/{name}": value for tower, metrics in report.metrics.items() for name, value in _flat(metrics).items()
    }


def _flat(metrics: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Return nested figures with joined names; of [accuracy, majority] pairs the accuracy."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}/")
        else:
            found[f"{prefix}{name}"] = float(value[0] if isinstance(value, list | tuple) else value)
    return found
