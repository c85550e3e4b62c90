"""Every test runs offline, with few threads, and against a store of its own."""

import os

os.environ.update(HF_HUB_OFFLINE="1", MLFLOW_DISABLE_TELEMETRY="true", TOKENIZERS_PARALLELISM="false")
os.environ.setdefault("OMP_NUM_THREADS", "2")

from benchmark.encoders.torchvision_ops import declare_missing_ops  # noqa: E402 - after the environment is set

declare_missing_ops()
