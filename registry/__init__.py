"""The MLflow side: SAEs as registered models, typed queries over runs, and the store they live in.

Queries import no torch; `log_sae` and `load_sae` load it when they are called.
"""

from registry.artifacts import MANIFEST, verified, write_manifest
from registry.models import claim_alias, load_sae, log_sae, model_name
from registry.queries import features, find_finished, latest, runs, table
from registry.store import connect

__all__ = [
    "MANIFEST",
    "claim_alias",
    "connect",
    "features",
    "find_finished",
    "latest",
    "load_sae",
    "log_sae",
    "model_name",
    "runs",
    "table",
    "verified",
    "write_manifest",
]
