"""Several jobs write to one store at once, and a server that goes away ends a job in a sentence or not at all."""

import importlib.util
import os
import time

import pytest
from servers import Postgres, Server, postgres_programs

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
JOBS = 4


@pytest.fixture
def serve(tmp_path):
    """Start servers that end with the test: serve(backend="")."""
    started = []

    def start(backend=""):
        started.append(Server(tmp_path / f"server{len(started)}", backend))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def postgres():
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql).")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed (pip install 'psycopg[binary]').")
    if os.geteuid() == 0 and not os.path.exists("/usr/sbin/runuser"):
        pytest.skip("PostgreSQL refuses root, and there is no runuser to be somebody else.")
    database = Postgres()
    yield database
    database.close()


def complete_after_concurrent_jobs(make_lab, uri):
    """Run four compares at once, each in a folder of its own as on machines of their own, and look at all they left."""
    labs = [make_lab(f"machine{i}", uri) for i in range(JOBS)]
    jobs = [lab.start("compare", "--suite", "tiny", "--seeds", str(i)) for i, lab in enumerate(labs)]
    for job in jobs:
        code, text = job.wait()
        assert code == 0, text
    runs = labs[0].runs()
    assert runs.status.value_counts().to_dict() == {"FINISHED": 3 * JOBS}
    assert runs.kind.value_counts().to_dict() == {"compare": JOBS, "train": 2 * JOBS}
    assert sorted(runs[runs.kind == "train"].seed) == sorted(2 * [str(i) for i in range(JOBS)])
    code, text = labs[0].run("verify")
    assert code == 0 and f"{3 * JOBS} finished runs and {2 * JOBS} registered SAEs" in text, text
    with labs[0].connected():
        import registry

        for seed in range(JOBS):
            for encoder in ("small-vit", "small-bert"):
                (layer,) = {uri.split("-L")[1][:2] for uri in registry.registered_saes() if encoder in uri}
                name = registry.model_name("scenes", encoder, int(layer))
                assert registry.load_sae(f"models:/{name}@seed-{seed}").k == 4
                assert registry.about_sae(f"models:/{name}@seed-{seed}").seed == seed
    return labs


def test_four_jobs_at_once_on_a_server_with_postgresql_are_complete(make_lab, serve, postgres):
    server = serve(postgres.uri)
    labs = complete_after_concurrent_jobs(make_lab, server.uri)
    # Proxied: the jobs' machines keep caches only, and the server has every artifact.
    assert not any((lab.folder / "mlruns").exists() or (lab.folder / "mlflow.db").exists() for lab in labs)
    assert len(list((server.folder / "artifacts").rglob("manifest.json"))) == 3 * JOBS
    code, text = labs[1].run("status")
    assert code == 0 and "kept by the server" in text and "mlflow:" not in text, text
    code, text = labs[1].run("gc", "--days", "0")
    assert code == 0 and "others share" in text, text
    # A fifth machine finds all that the others trained.
    text = make_lab("machine5", server.uri).run("compare", "--suite", "tiny", "--seeds", "0,1,2,3")[1]
    assert "8 train runs, 8 reused" in text, text


def test_four_jobs_at_once_on_one_sqlite_file_are_complete(make_lab, lab):
    labs = complete_after_concurrent_jobs(make_lab, lab.uri)
    assert len(labs) == JOBS


def test_artifacts_of_a_server_are_fetched_once_and_an_sae_that_was_cut_is_trained_again(make_lab, serve, tmp_path):
    server, elsewhere = serve(), tmp_path / "temporary"
    elsewhere.mkdir()
    lab = make_lab("machine", server.uri)
    code, text = lab.run("compare", "--suite", "tiny", TMPDIR=str(elsewhere))
    assert code == 0, text
    kept = {path.name for path in (lab.folder / ".cache" / "artifacts").iterdir() if path.is_dir()}
    assert kept == set(lab.runs(kind="train").run_id) and not list(elsewhere.rglob("*.safetensors"))
    weights = sorted((server.folder / "artifacts").rglob("model.safetensors"))
    weights[0].write_bytes(weights[0].read_bytes()[:-1])
    assert "1 reused" in lab.compare()
    assert "2 reused" in lab.compare()


def begun(lab, **environment):
    """Start a compare against a server and return it when its first encoder's SAEs are logged."""
    job = lab.start(**environment)
    while not len(lab.runs("FINISHED", kind="train")):
        assert not job.ended, job.text
        time.sleep(0.1)
    return job


def test_a_job_goes_on_when_its_server_comes_back(make_lab, serve, as_undisturbed):
    server = serve()
    lab = make_lab("machine", server.uri)
    job = begun(lab)
    server.kill()
    time.sleep(3)
    assert not job.ended, job.text
    server.start()
    code, text = job.wait()
    assert code == 0, text
    as_undisturbed(lab)


def test_a_job_whose_server_stays_away_ends_in_a_sentence_and_its_work_is_used(make_lab, serve, as_undisturbed):
    server = serve()
    lab = make_lab("machine", server.uri)
    job = begun(lab, MLFLOW_HTTP_REQUEST_MAX_RETRIES="2")
    server.kill()
    killed = time.monotonic()
    code, text = job.wait()
    assert code == 1 and time.monotonic() - killed < 120
    assert text.count("error: ") <= 2 and "Traceback" not in text and server.uri.split("//")[1] in text, text
    server.start()
    text = lab.compare()
    assert "1 reused" in text
    as_undisturbed(lab)
