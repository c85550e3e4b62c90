"""A report's examples are the features that are surely found again, with the samples of both sides."""

import mlflow
import numpy as np
import pandas as pd
from shades import dataset

from benchmark.features import SparseFeatures
from benchmark.jobs.feature_partners import write_partners
from benchmark.jobs.feature_samples import log_feature_samples
from benchmark.jobs.shared_concepts import EACH, SHOWN, shared_concepts
from benchmark.jobs.sides import Recorded
from registry.queries import feature_path

N = 600
LAYER = 2


def logged(folder):
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder))
    return run.info.run_id


def codes(data, seed, planted):
    """Twelve features of noise, and `planted` ones at the end."""
    rng = np.random.default_rng(seed)
    noise = rng.random((N, 12)) * (rng.random((N, 12)) < 0.1)
    return SparseFeatures.from_dense(np.hstack([noise, planted]), data.fingerprint, data.groups).rounded()


def compared(tmp_path, data, layers):
    """Run id and SAEs of a comparison of encoders whose features are `layers`."""
    recorded, saes = {}, []
    for name, features in layers.items():
        folder = tmp_path / name
        features.save(folder / feature_path(LAYER))
        log_feature_samples(folder, [LAYER], data)
        recorded[name, 0] = Recorded({LAYER: folder / feature_path(LAYER)}, N)
        saes += [{"encoder": name, "seed": seed, "run_id": logged(folder) if seed == 0 else "gone"} for seed in (0, 1)]
    write_partners(recorded, np.arange(N), tmp_path / "compare", folds=3, min_count=0, budget=1 << 30)
    return logged(tmp_path / "compare"), pd.DataFrame(saes)


def test_planted_concepts_are_found_and_rare_or_constant_looking_ones_left_out(here, tmp_path):
    data = dataset(N)
    rng = np.random.default_rng(5)
    shared = rng.random((N, 1)) * (rng.random((N, 1)) < 0.1)
    rare = (np.arange(N)[:, None] % 60 == 0).astype(float)  # active on 10 samples
    wide = rng.random((N, 1)) * (rng.random((N, 1)) < 0.6)
    layers = {name: codes(data, seed, np.hstack([shared, rare, wide])) for seed, name in enumerate(("a", "b"))}
    run_id, saes = compared(tmp_path, data, layers)
    concepts = shared_concepts(run_id, saes)
    assert [concept.source for concept in concepts].count("a") == EACH
    for name, other in (("a", "b"), ("b", "a")):
        first = next(concept for concept in concepts if concept.source == name)
        assert (first.target, first.layer, first.feature, first.partner_layer, first.partner) == (other, 2, 12, 2, 12)
        assert first.held_out_rho > 0.99 and abs(first.density - float((shared > 0).mean())) < 1e-6
        assert len(first.examples) == SHOWN and first.examples == first.partner_examples
        strongest = int(np.argmax(layers[name].to_dense()[:, 12]))
        assert first.examples[0].caption == data.captions()[strongest]
        assert first.examples[0].jpeg is not None and first.examples[0].jpeg.startswith(b"\xff\xd8")
    assert not {13, 14} & {concept.feature for concept in concepts}


def test_runs_that_recorded_neither_partners_nor_samples_have_no_examples(here, tmp_path):
    (tmp_path / "file").write_text("")
    run_id = logged(tmp_path)
    saes = pd.DataFrame({"encoder": ["a", "b"], "seed": [0, 0], "run_id": [run_id, run_id]})
    assert shared_concepts(run_id, saes) == []


def test_captions_alone_are_examples_without_pictures(here, tmp_path):
    data = dataset(N, has_images=False)
    run_id, saes = compared(tmp_path, data, {name: codes(data, i, np.zeros((N, 0))) for i, name in enumerate("ab")})
    concepts = shared_concepts(run_id, saes)
    assert concepts and all(example.jpeg is None for concept in concepts for example in concept.examples)
