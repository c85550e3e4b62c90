"""The MLflow side: SAEs as registered models, typed queries over runs, and the store they live in.

Queries import no torch; `log_sae` and `load_sae` load it when they are called.
"""

from registry.artifacts import MANIFEST, check_model, check_run, is_intact, verified, write_manifest
from registry.hub import pull_sae, push_sae, write_saes
from registry.locations import is_here
from registry.models import about_sae, claim_alias, load_sae, log_sae, model_name
from registry.names import feature_names, naming_runs, with_names
from registry.partners import feature_partners
from registry.queries import (
    Damaged,
    RunDetails,
    error_text,
    features,
    find_finished,
    latest,
    registered_saes,
    run_details,
    runs,
    table,
)
from registry.run_rows import lists_quickly
from registry.samples import Example, feature_examples, feature_samples, feature_summary, thumbnails
from registry.store import StoreError, answers, connect, local_store, without_password

__all__ = [
    "MANIFEST",
    "Damaged",
    "Example",
    "RunDetails",
    "StoreError",
    "about_sae",
    "answers",
    "check_model",
    "check_run",
    "claim_alias",
    "connect",
    "error_text",
    "feature_examples",
    "feature_names",
    "feature_partners",
    "feature_samples",
    "feature_summary",
    "features",
    "find_finished",
    "is_here",
    "is_intact",
    "latest",
    "lists_quickly",
    "load_sae",
    "local_store",
    "log_sae",
    "model_name",
    "naming_runs",
    "pull_sae",
    "push_sae",
    "registered_saes",
    "run_details",
    "runs",
    "table",
    "thumbnails",
    "verified",
    "with_names",
    "without_password",
    "write_manifest",
    "write_saes",
]
