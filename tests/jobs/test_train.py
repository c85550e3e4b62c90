"""What trains the SAEs is part of a run's key, and recorded activations stand in for an encoder."""

import contextlib
import json

import numpy as np
import pandas as pd

import registry
from benchmark.catalog import EncoderCard, read_cards
from benchmark.datasets import load_dataset
from benchmark.encoders import load_encoder
from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.jobs.activations import extract

SMALL = ["--max-samples", "300", "--epochs", "1", "--k", "4", "--seeds"]


def run_of(encoder, seed):
    return registry.runs(kind="train", encoder=encoder, seed=seed).iloc[0]


def test_tokens_and_precision_train_other_saes_under_other_keys(command, here):
    keys, values = set(), set()
    for more in ([], ["--tokens", "2"], ["--precision", "bfloat16"]):
        code, out, error = command("train", "--encoders", "one.yaml", *SMALL, "3", *more)
        assert code == 0, error
        assert "reused" not in out
        run = run_of("tiny-vit", "3")
        keys.add(run.key)
        values.add(SparseFeatures.load(registry.verified(run.run_id) / "features" / "L02.safetensors").values.tobytes())
        assert "reused" in command("train", "--encoders", "one.yaml", *SMALL, "3", *more)[1]
    assert len(keys) == len(values) == 3
    stored = [
        json.loads(path.read_text())["layout"]["tokens"] for path in here.glob(".cache/activations/*/*/progress.json")
    ]
    assert {0, 2} <= set(stored)


def test_recorded_activations_give_the_saes_of_the_encoder_that_made_them(command, here, tmp_path):
    dataset = load_dataset("scenes", 300, here / ".cache", progress=False)
    encoder = load_encoder(read_cards(EncoderCard, here / "one.yaml")["tiny-vit"])
    pooled = extract(encoder, dataset, [2], tmp_path / "a").pooled[2]
    folder = tmp_path / "vectors"
    folder.mkdir()
    order = np.random.default_rng(0).permutation(300)  # rows may come in any order
    np.save(folder / "L02.npy", pooled[order])
    (folder / "ids.txt").write_text("\n".join(dataset.ids[i] for i in order))
    card = tmp_path / "recorded.yaml"
    card.write_text(
        f"elsewhere:\n  library: activations\n  source: {folder}\n  modality: image\n  kind: vision\n  token: cls\n"
    )
    for encoders in ("one.yaml", card):
        code, _, error = command("train", "--encoders", encoders, *SMALL, "4")
        assert code == 0, error
    ours, theirs = (
        SparseFeatures.load(registry.verified(run_of(name, "4").run_id) / "features" / "L02.safetensors")
        for name in ("tiny-vit", "elsewhere")
    )
    assert np.array_equal(ours.values, theirs.values) and np.array_equal(ours.indices, theirs.indices)
    code, _, error = command("train", "--encoders", card, *SMALL, "4", "--tokens", "2")
    assert code == 2 and "one vector a sample" in error and error.count("\n") <= 1


def test_what_another_process_trained_while_this_one_waited_is_used(command, here, monkeypatch):
    from benchmark.jobs import train

    real, calls = train.train_seeds, []

    def counted(*arguments):
        calls.append(arguments)
        return real(*arguments)

    @contextlib.contextmanager
    def waited_for(work, doing):
        plan, card, dataset, key = waiting.pop()
        real(plan, card, dataset, {6: key[6]}, work)  # the other process, which holds the lock
        yield

    waiting = []
    finished = train.finished

    def noted(plan, card, key):
        done = finished(plan, card, key)
        if not waiting and not done:
            waiting.append((plans[0], card, load_dataset("scenes", 300, here / ".cache", progress=False), key))
        return done

    before = len(registry.runs(kind="train", encoder="tiny-vit", seed="6"))
    plans, make = [], train.make_plan
    monkeypatch.setattr(train, "make_plan", lambda config: plans.append(make(config)) or plans[0])
    monkeypatch.setattr(train, "finished", noted)
    monkeypatch.setattr(train, "train_seeds", counted)
    monkeypatch.setattr(train, "locked", waited_for)
    code, out, error = command("train", "--encoders", "one.yaml", *SMALL, "5,6")
    assert code == 0, error
    assert [list(arguments[3]) for arguments in calls] == [[5]]
    assert "seed 5  trained" in out and "seed 6  reused" in out
    assert len(registry.runs(kind="train", encoder="tiny-vit", seed="6")) == before + 1
    assert not [path for path in here.glob(".cache/training/tiny-vit-*") if path.is_dir()]


def test_a_killed_trainings_remains_are_removed(command, here):
    before, own = set(here.glob(".cache/training/*.lock")), ["train", "--encoders", "one.yaml", "--batch-size", "32"]
    assert command(*own, *SMALL, "7")[0] == 0
    (lock,) = set(here.glob(".cache/training/*.lock")) - before
    remains = lock.with_suffix("")
    (remains / "L02-seed8").mkdir(parents=True)
    (remains / "L02-seed8" / "model.safetensors").write_text("half a file")
    assert command(*own, *SMALL, "8")[0] == 0 and not remains.exists()


def test_one_pass_over_the_data_serves_layers_tokens_and_cards_that_need_no_more(command, here, tmp_path):
    name = "tiny-bert"
    cards = read_cards(EncoderCard, here / "cards.yaml")
    card = tmp_path / "bert.yaml"
    text = (
        f"{name}:\n  library: transformers\n  source: {here / cards[name].source}\n  modality: text\n  kind: text\n"
        "  token: cls\n"
    )
    passes = f".cache/activations/{name}-*/*/progress.json"
    before = set(here.glob(passes))
    for more, offered in ((["--layers", "all", "--tokens", "3"], ""), ([], ""), ([], "  layers: last\n")):
        card.write_text(text + offered)
        code, out, error = command("train", "--encoders", card, *SMALL, "61", *more)
        assert code == 0 and "trained" in out, error
    assert len(set(here.glob(passes)) - before) == 1


def test_features_without_topk_are_of_the_same_sae_under_another_key(command, here):
    found = {}
    for codes in ("topk", "relu"):
        code, out, error = command("train", "--encoders", "one.yaml", *SMALL, "9", "--codes", codes)
        assert code == 0 and "trained" in out, error
        run = run_of("tiny-vit", "9")
        found[codes] = run.key, registry.features(run.run_id, 2), registry.verified(run.run_id)
    (first, topk, _), (second, relu, folder) = found["topk"], found["relu"]
    assert first != second and isinstance(topk, SparseFeatures) and isinstance(relu, DenseFeatures)
    kept = topk.to_dense()
    np.testing.assert_array_equal(relu.array[kept > 0], kept[kept > 0])
    assert (kept > 0).sum(1).max() == 4 < (relu.array > 0).sum(1).mean()
    sizes = [path.stat().st_size - 300 * (relu.n_latents * 2 + 8) for path in folder.glob("features*/*")]
    assert len(sizes) == 2 and max(sizes) < 1000  # trained and not, in float16, and their headers
    code, _, error = command("train", "--encoders", "one.yaml", *SMALL, "9", "--codes", "gelu")
    assert code == 2 and "unknown codes 'gelu'" in error


def test_a_run_without_what_a_comparison_reads_is_made_again_and_one_with_more_is_reused(command, here):
    own = ["train", "--encoders", "one.yaml", *SMALL, "10"]
    assert command(*own, "--untrained", "false")[0] == 0
    bare = run_of("tiny-vit", "10")
    assert not (registry.verified(bare.run_id) / "features_untrained").exists()
    assert "trained" in command(*own)[1]
    full = run_of("tiny-vit", "10")
    assert full.key == bare.key and full.run_id != bare.run_id
    assert "reused" in command(*own)[1] and "reused" in command(*own, "--untrained", "false")[1]
    floor = SparseFeatures.load(registry.verified(full.run_id) / "features_untrained" / "L02.safetensors")
    trained = registry.features(full.run_id, 2)
    assert floor.samples == trained.samples and np.array_equal(floor.groups, trained.groups)
    assert floor.n_latents == trained.n_latents and not np.array_equal(floor.values, trained.values)


def test_the_lengths_of_the_decoders_rows_are_recorded(command, here):
    assert command("train", "--encoders", "one.yaml", *SMALL, "9")[0] == 0
    for run_id in registry.runs(kind="train", encoder="tiny-vit", seed="9").run_id:
        folder = registry.verified(run_id)
        sae = registry.load_sae(pd.read_parquet(folder / "saes.parquet").model_uri.iloc[0])
        norms = np.linalg.norm(sae.W_dec.detach().numpy(), axis=1)
        np.testing.assert_allclose(np.load(folder / "decoder_norms" / "L02.npy"), norms, rtol=1e-6)
        assert norms.std() > 0


def test_initial_weights_and_order_of_samples_vary_separately(command, here):
    own, init, order = ["train", "--encoders", "one.yaml", *SMALL], ["--init-seed", "62"], ["--order-seed", "62"]
    assert command(*own, "62,63")[0] == 0
    for more in (order, init):
        code, out, error = command(*own, "62,63", *more)
        assert code == 0 and "seed 62  reused" in out and "seed 63  trained" in out, error
    # The same initial weights and order under another number are the same SAE.
    assert "seed 62  reused" in command(*own, "62", "--init-seed", "63")[1]
    saes, floors = {}, {}
    for alias, random in (
        ("seed-63", ("63", "63")),
        ("seed-63-order-62", ("63", "62")),
        ("seed-62-order-63", ("62", "63")),
    ):
        sae = registry.load_sae(f"models:/sae-scenes-tiny-vit-L02@{alias}")
        runs = registry.runs("FINISHED", kind="train", encoder="tiny-vit", init_seed=random[0], order_seed=random[1])
        folder = registry.verified(runs.run_id.iloc[0])
        assert pd.read_parquet(folder / "saes.parquet")[["init_seed", "order_seed"]].iloc[0].tolist() == [
            int(seed) for seed in random
        ]
        saes[random] = sae.W_dec.detach().numpy()
        floors[random] = SparseFeatures.load(folder / "features_untrained" / "L02.safetensors").values.tobytes()
    assert floors["63", "63"] == floors["63", "62"] != floors["62", "63"]
    assert len({array.tobytes() for array in saes.values()}) == 3
