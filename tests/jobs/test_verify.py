"""Verify finds every file that is not what was logged, in runs and in models, and nothing else."""

import pytest

import registry
from benchmark.jobs import tracking
from benchmark.sae import TopKSAE
from registry.artifacts import file_hashes


def folder_of(run_id):
    found = registry.verified(run_id)
    assert found is not None
    return found


def test_undamaged_runs_pass(housekeeping, job):
    job({"a.txt": "1", "sub/b.txt": "2"})
    code, out = housekeeping("verify")
    assert code == 0 and "1 finished run" in out and "(2 files) were read; none of them are damaged" in out


@pytest.mark.parametrize(
    ("damage", "file", "what"),
    [
        (lambda f: (f / "sub" / "b.txt").write_text("3"), "sub/b.txt", "changed"),
        (lambda f: (f / "sub" / "b.txt").write_text(""), "sub/b.txt", "changed"),
        (lambda f: (f / "a.txt").unlink(), "a.txt", "missing"),
        (lambda f: (f / registry.MANIFEST).unlink(), "manifest.json", "missing"),
        (lambda f: (f / registry.MANIFEST).write_text("{"), "manifest.json", "damaged"),
        (lambda f: (f / registry.MANIFEST).write_text("[1]"), "manifest.json", "damaged"),
        (
            lambda f: (f / registry.MANIFEST).write_text('{"../../../../etc/hostname": "0"}'),
            "../../../../etc/hostname",
            "lies outside of the folder",
        ),
    ],
    ids=["bit", "truncated", "gone", "no manifest", "no JSON", "other JSON", "escaping"],
)
def test_each_damage_is_named_and_ends_in_exit_code_1(housekeeping, job, damage, file, what):
    fine, victim = job({"a.txt": "1"}), job({"a.txt": "1", "sub/b.txt": "2"})
    damage(folder_of(victim))
    code, out = housekeeping("verify")
    (line,) = (line for line in out.splitlines() if line.startswith("train run"))
    assert code == 1 and line.split()[2:4] == [victim, file] and line.endswith(what) and fine not in out
    assert "1 of them is damaged" in out


def test_a_run_that_failed_or_is_not_ours_is_not_looked_at(housekeeping):
    import mlflow

    with pytest.raises(ValueError), tracking.job_run("train", "failed", tags={}, params={}):
        raise ValueError("failed")
    with mlflow.start_run():
        mlflow.log_text("x", "x.txt")
    code, out = housekeeping("verify")
    assert code == 0 and "0 finished runs" in out


@pytest.fixture
def sae(lab, tmp_path):
    """The URI of a registered SAE whose MLmodel file holds its hashes, and the folder of its files."""
    import mlflow

    from benchmark.sae import write_sae

    made = TopKSAE(4, 8, 2, seed=1)
    write_sae(made, tmp_path / "same")
    with mlflow.start_run():
        uri = registry.log_sae(
            made, dataset="s", encoder="e", layer=0, seed=0, metadata={"sha256": file_hashes(tmp_path / "same")}
        )
    return uri, next((lab / "mlruns").rglob("model.safetensors")).parent


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("damage", ["bit", "truncated", "gone"])
def test_a_damaged_sae_is_found(housekeeping, sae, file, damage):
    uri, folder = sae
    assert registry.check_model(uri).files == 2 and registry.is_intact(uri)
    content = bytearray((folder / file).read_bytes())
    if damage == "bit":
        content[-2] ^= 1
        (folder / file).write_bytes(content)
    elif damage == "truncated":
        (folder / file).write_bytes(content[: len(content) // 2])
    else:
        (folder / file).unlink()
    code, out = housekeeping("verify")
    assert code == 1 and f"SAE   {uri}" in out and file in out and not registry.is_intact(uri)


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_of_a_server_the_sizes_of_an_saes_files_are_compared(monkeypatch, sae, damage):
    uri, folder = sae
    monkeypatch.setattr("registry.artifacts.is_local", lambda location: False)
    assert registry.is_intact(uri)
    file = folder / "model.safetensors"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    assert not registry.is_intact(uri)


def test_an_sae_logged_without_sizes_counts_as_intact(monkeypatch, sae):
    import mlflow

    uri, folder = sae
    monkeypatch.setattr("registry.artifacts.is_local", lambda location: False)
    mlflow.MlflowClient().delete_model_version_tag(*uri.removeprefix("models:/").split("/"), "bytes")
    (folder / "model.safetensors").unlink()
    assert registry.is_intact(uri)


def test_an_sae_whose_files_are_gone_or_lead_elsewhere_is_found(sae, lab):
    import shutil

    uri, folder = sae
    model = folder.parents[1] / "MLmodel"
    text = model.read_text()
    model.write_text(text.replace("data: data/sae", "data: ../../../../../../etc"))
    assert registry.check_model(uri).damage == [("MLmodel", "names data outside of the folder")]
    model.write_text("- no model")
    assert registry.check_model(uri).damage == [("MLmodel", "damaged")]
    shutil.rmtree(lab / "mlruns")
    assert registry.check_model(uri).damage == [("MLmodel", "missing")]
    assert registry.check_model("models:/none/1").damage and not registry.is_intact("models:/none/1")
