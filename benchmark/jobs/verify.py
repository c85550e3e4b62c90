"""The command `verify`: every file of every finished run, and every registered SAE, against its hash."""

from collections import Counter
from typing import TYPE_CHECKING

from tqdm import tqdm

from benchmark import report
from benchmark.errors import WorkError
from benchmark.jobs.configs import VerifyConfig

if TYPE_CHECKING:
    from registry.artifacts import Checked


def verify(config: VerifyConfig) -> int:
    """Run the `verify` command; returns its exit code, 1 if anything is damaged."""
    import registry

    try:
        uri = registry.connect(read_only=True)
        finished = registry.runs("FINISHED")
        models = registry.registered_saes()
    except OSError as error:
        raise WorkError(f"{error}.") from None
    finished = finished[finished.kind != ""]  # others' runs keep no manifest
    if uri.startswith("http"):
        print("The artifacts are on a server: all of them are downloaded once, and removed again.")
    damaged: list[tuple[str, str, str, str]] = []
    count: Counter[str] = Counter()
    with tqdm(total=len(finished) + len(models), desc="verify", unit="item", mininterval=0.5) as bar:
        for run_id, kind in zip(finished.run_id, finished.kind, strict=True):
            _note(registry.check_run(run_id), f"{kind} run", run_id, "runs", count, damaged)
            bar.update()
        for model in models:
            found = registry.check_model(model)
            count["without"] += not found.files and not found.damage
            _note(found, "SAE", model, "SAEs", count, damaged)
            bar.update()
    if damaged:
        print(report.text_table(("what", "id", "file", "damage"), damaged))
    print(
        f"{report.counted(count['runs'], 'finished run')} and {report.counted(count['SAEs'], 'registered SAE')} "
        f"({report.counted(count['files'], 'file')}) were read; {count['damaged'] or 'none'} of them "
        f"{'is' if count['damaged'] == 1 else 'are'} damaged."
    )
    if count["without"]:
        print(f"{report.counted(count['without'], 'SAE')} of an older version carry no hash and could not be checked.")
    if damaged:
        print("A job that needs what a damaged run holds computes it again.")
    return 1 if damaged else 0


def _note(
    found: "Checked", what: str, name: str, kind: str, count: Counter[str], damaged: list[tuple[str, str, str, str]]
) -> None:
    count[kind] += 1
    count["files"] += found.files
    count["damaged"] += bool(found.damage)
    damaged += [(what, name, damage.file, damage.what) for damage in found.damage]
