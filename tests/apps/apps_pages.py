"""Open and use the app's pages without a browser."""

from pathlib import Path

import mlflow
import pandas as pd
from streamlit.testing.v1 import AppTest

import apps

MAIN = Path(apps.__file__).with_name("app.py")
FIRST = "pages_leaderboard.py"
PAGES = (
    FIRST,
    "pages_matrix.py",
    "pages_pair.py",
    "pages_sharedness.py",
    "pages_saes.py",
    "pages_runs.py",
    "pages_features.py",
)


QUESTIONS = ("pages_layers.py", "pages_stability.py", "pages_datasets.py")
"""Pages about runs that answer one question."""


def opened(page: str = PAGES[1], **query: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.query_params.update(query)
    app.run()
    if page != FIRST:
        app.switch_page(page).run()
    assert not app.exception, app.exception
    return app


def spoken(app: AppTest) -> str:
    return " ".join(item.value for item in [*app.info, *app.warning, *app.error])


def choose(app: AppTest, label: str, value: str) -> AppTest:
    next(box for box in app.selectbox if box.label == label).set_value(value).run()
    assert not app.exception, app.exception
    return app


def log_run(folder: Path, tables: dict[str, pd.DataFrame], *, status: str = "FINISHED", **tags: str) -> str:
    run = mlflow.start_run(run_name=tags["kind"])
    mlflow.set_tags(tags)
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(folder / name)
        mlflow.log_artifact(str(folder / name), name.rpartition("/")[0] or None)
    mlflow.end_run(status)
    return run.info.run_id
