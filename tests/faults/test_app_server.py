"""The app's queries against a real server: few runs, few requests, and a sentence once it is gone."""

import mlflow
import pandas as pd
import pytest
from servers import Server

import registry
from registry import files

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def test_runs_and_tables_of_a_server_are_read_and_a_killed_one_is_told(tmp_path, monkeypatch):
    server = Server(tmp_path / "server")
    server.start()
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        registry.connect(read_only=True)
        pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "cells.parquet")
        made = []
        for i in range(3):
            with mlflow.start_run(experiment_id="0") as run:
                mlflow.set_tags({"kind": "compare", "suite": "it's" if i else "tiny"})
                mlflow.log_artifact(str(tmp_path / "cells.parquet"))
            made.insert(0, run.info.run_id)
        assert not registry.lists_quickly()
        assert registry.runs(kind="compare", limit=2).run_id.tolist() == made[:2]
        assert registry.runs(ids=[made[2], "0" * 32]).run_id.tolist() == made[2:]
        assert registry.table(made[0], "cells.parquet").x.tolist() == [1]
        for run_id, name in ((made[0], "saes.parquet"), ("0" * 32, "cells.parquet")):
            with pytest.raises(ValueError, match="not in this store, or was deleted"):
                registry.table(run_id, name)
        server.kill()
        for ask in (
            lambda: registry.table(made[1], "cells.parquet"),
            lambda: registry.connect(read_only=True),
            lambda: registry.runs(limit=1),
        ):
            with pytest.raises(registry.StoreError) as told:
                ask()
            assert "does not answer" in str(told.value) and "\n" not in str(told.value)
    finally:
        server.kill()
        files._location.cache_clear()
