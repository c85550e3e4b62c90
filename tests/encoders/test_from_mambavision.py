import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmark.catalog import EncoderCard
from benchmark.encoders import from_mambavision
from benchmark.encoders.encoder import Encoder
from benchmark.encoders.from_mambavision import INSTALL, load_tower
from benchmark.errors import InputError, WorkError

CONFIG = {
    "model_type": "mambavision",
    "architectures": ["MambaVisionModel"],
    "depths": [1, 1, 3, 2],
    "dim": 16,
    "in_dim": 8,
    "mlp_ratio": 2,
    "num_heads": [1, 1, 2, 4],
    "window_size": [8, 8, 4, 2],
    "drop_path_rate": 0.2,
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.25, 0.3],
    "crop_mode": "center",
    "crop_pct": 0.9,
}
WIDTHS = {0: 16, 1: 32, 2: 64, 3: 128}


def card(source="nvidia/MambaVision-B-1K", **fields):
    fields = {"modality": "image", "kind": "vision", "token": "mean", **fields}
    return EncoderCard(name="small-mambavision", library="mambavision", source=str(source), **fields)


@pytest.fixture(scope="session")
def package():
    pytest.importorskip("einops")
    if importlib.util.find_spec("mambavision") is None:
        pytest.skip("the package mambavision is not installed")
    return from_mambavision._package(card())


@pytest.fixture(scope="session")
def reference(package):
    """The package's own model, head included, with random weights and random statistics of its batch norms."""
    torch.manual_seed(0)
    sizes = {name: CONFIG[name] for name in from_mambavision.ARCHITECTURE}
    model = package.MambaVision(**sizes, num_classes=10, layer_scale=0.5).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model


@pytest.fixture
def checkpoint(reference, tmp_path):
    """Return checkpoint(rename=None, **config): a folder in the format of nvidia's repositories on the hub."""

    def write(rename=lambda key: key, **changes):
        weights = {"model." + rename(key): tensor.contiguous() for key, tensor in reference.state_dict().items()}
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        (tmp_path / "config.json").write_text(json.dumps(CONFIG | changes))
        return tmp_path

    return write


def own_maps(model, pixels):
    """Return the package's own logits, and by hooks each stage's map before it is halved, all in one pass."""
    maps = []
    levels = list(model.levels)
    handles = [
        level.downsample.register_forward_pre_hook(lambda _m, args: maps.append(args[0])) for level in levels[:3]
    ]
    handles.append(levels[3].register_forward_hook(lambda _m, _a, output: maps.append(output)))
    with torch.no_grad():
        logits = model(pixels)
    for handle in handles:
        handle.remove()
    return logits, maps


def textbook_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state):
    """What MambaVision asks of the scan, in float64, one step after the other, every state kept."""
    step = torch.log1p(torch.exp(delta.double() + delta_bias.double()[:, None]))
    h, outputs = torch.zeros(*u.shape[:2], A.shape[1], dtype=torch.float64), []
    for t in range(u.shape[2]):
        h = torch.exp(step[:, :, t, None] * A) * h + step[:, :, t, None] * B[:, None, :, t] * u[:, :, t, None]
        outputs.append((h * C[:, None, :, t]).sum(-1) + D * u[:, :, t])
    return torch.stack(outputs, -1).float()


@pytest.mark.parametrize(("side", "places"), [(64, (256, 64, 16, 4)), (80, (400, 100, 25, 9)), (72, (324, 81, 25, 9))])
def test_a_stage_is_its_map_before_it_is_halved_and_padded_windows_add_no_tokens(
    package, reference, checkpoint, images, monkeypatch, side, places
):
    encoder = Encoder(card(), load_tower(card(), checkpoint(input_size=[3, side, side])))
    assert encoder.widths == WIDTHS
    output = encoder.run(images)
    pixels = encoder.preprocess(images)["pixel_values"]
    monkeypatch.setattr(package, "selective_scan_fn", textbook_scan)
    _, maps = own_maps(reference, pixels)
    for stage, own in enumerate(maps):
        assert output[stage].tokens.shape == (len(images), places[stage], WIDTHS[stage])
        assert output[stage].mask.all()
        rows = own.permute(0, 2, 3, 1).reshape(len(images), places[stage], WIDTHS[stage])
        torch.testing.assert_close(output[stage].tokens, rows, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(output[stage].pooled, own.mean((2, 3)), rtol=1e-4, atol=1e-4)


def test_norm_pooling_and_head_on_the_last_stage_give_the_packages_own_logits(
    package, reference, checkpoint, images, monkeypatch
):
    encoder = Encoder(card(), load_tower(card(), checkpoint()))
    tokens = encoder.run(images)[3].tokens
    with torch.no_grad():
        logits = reference.head(reference.norm(tokens.transpose(1, 2).unsqueeze(-1)).mean((2, 3)))
    monkeypatch.setattr(package, "selective_scan_fn", textbook_scan)
    own, _ = own_maps(reference, encoder.preprocess(images)["pixel_values"])
    torch.testing.assert_close(logits, own, rtol=1e-4, atol=1e-4)
    assert own.std() > 0.1  # the comparison is of something


def test_some_layers_are_those_of_all_layers(reference, checkpoint, images):
    tower = load_tower(card(), checkpoint())
    tower.module.eval()
    inputs = tower.preprocess(images)
    with torch.no_grad():
        everything = tower.states(inputs, None)
        for layers in ([0], [1, 2], [3]):
            some = tower.states(inputs, layers)
            assert list(some) == layers
            assert all(torch.equal(some[layer], everything[layer]) for layer in layers)


def test_everything_stays_on_the_models_device(checkpoint):
    tower = load_tower(card(), checkpoint(input_size=[3, 80, 80]))
    tower.module.to("meta").eval()  # refuses tensors of another device, as a GPU would
    states = tower.states({"pixel_values": torch.zeros(2, 3, 80, 80, device="meta")}, None)
    assert [tuple(state.shape) for state in states.values()] == [(2, 400, 16), (2, 100, 32), (2, 25, 64), (2, 9, 128)]
    assert {state.device.type for state in states.values()} == {"meta"}


def test_a_sample_does_not_depend_on_its_batch(checkpoint, images):
    encoder = Encoder(card(), load_tower(card(), checkpoint()))
    together = encoder.run(images)
    for i, image in enumerate(images):
        for layer, alone in encoder.run([image]).items():
            expected = together[layer].tokens[i]
            torch.testing.assert_close(alone.tokens[0], expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("short", ["g_", "ls", "gamma_"])
def test_layer_scales_load_under_the_hubs_names_and_the_packages(reference, checkpoint, short):
    tower = load_tower(card(), checkpoint(lambda key: key.replace("gamma_", short)))
    for stage, which in ((2, "gamma_1"), (3, "gamma_2")):
        own = getattr(reference.levels[stage].blocks[1], which)
        assert torch.equal(getattr(tower.module.levels[stage].blocks[1], which), own)


def test_a_model_without_layer_scales_and_without_head_loads(package, tmp_path):
    sizes = {name: CONFIG[name] for name in from_mambavision.ARCHITECTURE}
    weights = package.MambaVision(**sizes, num_classes=0, layer_scale_conv=1.0).state_dict()
    save_file({"model." + key: tensor for key, tensor in weights.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({name: CONFIG[name] for name in from_mambavision.ARCHITECTURE}))
    module = load_tower(card(), tmp_path).module
    assert module.levels[2].blocks[0].gamma_1 == 1
    assert torch.equal(module.levels[0].blocks[0].gamma, weights["levels.0.blocks.0.gamma"])


def change(folder, edit):
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda w: w.pop("model.levels.2.blocks.0.mixer.A_log"), r"lacks 'levels.2.blocks.0.mixer.A_log'\."),
        (lambda w: w.pop("model.norm.weight"), r"lacks 'norm.weight'\."),
        (lambda w: w.update({"model.extra": torch.ones(1)}), r"holds unknown 'extra'\."),
        (lambda w: w.update({"model.norm.bias": torch.ones(3)}), r"'norm.bias' is \(3,\), the model needs \(128,\)\."),
    ],
    ids=["missing", "missing norm", "unknown", "shape"],
)
def test_weights_that_do_not_fit_are_named(checkpoint, edit, sentence):
    folder = checkpoint()
    change(folder, edit)
    with pytest.raises(WorkError, match=sentence):
        load_tower(card(), folder)


def test_other_formats_are_refused_in_one_sentence(checkpoint):
    folder = checkpoint()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({name: config[name] for name in ("depths", "window_size")}))
    with pytest.raises(WorkError, match="config.json lacks dim, in_dim, mlp_ratio, num_heads"):
        load_tower(card(), folder)
    (folder / "model.safetensors").rename(folder / "mambavision_base_1k.pth.tar")
    with pytest.raises(WorkError, match=r"needs config.json and \*.safetensors"):
        load_tower(card(), folder)


def test_the_hub_gives_weights_and_configuration_of_the_revision_only(checkpoint, monkeypatch):
    asked = {}

    def snapshot_download(repository, **options):
        asked.update(options, repository=repository)
        return str(checkpoint())

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    load_tower(card(revision="39af38a"), None, trust_remote_code=True)
    assert asked == {
        "repository": "nvidia/MambaVision-B-1K",
        "revision": "39af38a",
        "allow_patterns": ["*.json", "*.safetensors"],
    }


def test_images_are_prepared_as_the_configuration_says(checkpoint):
    tower = load_tower(card(), checkpoint())
    red = tower.preprocess([Image.new("RGB", (200, 100), (255, 0, 0))])["pixel_values"]
    assert red.shape == (1, 3, 64, 64)
    expected = (torch.tensor([1.0, 0, 0]) - torch.tensor(CONFIG["mean"])) / torch.tensor(CONFIG["std"])
    torch.testing.assert_close(red[0, :, 5, 7], expected)
    half = Image.new("RGB", (100, 100))
    half.paste((255, 255, 255), (0, 0, 5, 100))  # its left twentieth is what crop_pct 0.9 cuts away
    assert tower.preprocess([half])["pixel_values"][0, 0, :, 1:].max() < 0
    whole = load_tower(card(), checkpoint(crop_pct=1.0))
    assert whole.preprocess([half])["pixel_values"][0, 0, :, :3].min() > 0


def test_images_are_resized_as_in_the_published_evaluation(checkpoint, images):
    tower = load_tower(card(), checkpoint(crop_pct=1.0, mean=[0, 0, 0], std=[1, 1, 1]))
    square = images[0].resize((100, 100))
    expected = np.asarray(square.resize((64, 64), Image.Resampling.BICUBIC), dtype=np.float32).transpose(2, 0, 1) / 255
    torch.testing.assert_close(tower.preprocess([square])["pixel_values"][0], torch.from_numpy(expected))


def test_the_third_stages_window_gives_the_input_side_of_every_released_model(package, monkeypatch):
    monkeypatch.setattr(package, "MambaVision", lambda **sizes: SimpleNamespace(**sizes))
    for name, published in package.default_cfgs.items():
        model = getattr(package, name)()
        assert published["input_size"] == (3, 16 * model.window_size[2], 16 * model.window_size[2])
        assert published["interpolation"] == "bicubic"


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mambavision.models.mamba_vision", None)
    with pytest.raises(WorkError) as error:
        load_tower(card(), None)
    assert INSTALL in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_text_cards_are_refused():
    with pytest.raises(InputError, match="image encoders only"):
        load_tower(card(modality="text"), None)


def test_no_stand_in_for_mamba_ssm_stays_behind(package, monkeypatch):
    if "mamba_ssm" not in sys.modules:
        importlib.util.find_spec("mamba_ssm")  # raises for a stand-in, which has no __spec__
    half_imported = ModuleType("mamba_ssm")  # as an installation leaves it whose compiled part does not load
    monkeypatch.setitem(sys.modules, "mamba_ssm", half_imported)
    monkeypatch.delitem(sys.modules, from_mambavision.SCAN, raising=False)
    with from_mambavision._scan_on_offer():
        assert sys.modules[from_mambavision.SCAN].selective_scan_fn is from_mambavision.selective_scan_fn
    assert sys.modules["mamba_ssm"] is half_imported
    assert from_mambavision.SCAN not in sys.modules


def test_an_installed_mamba_ssm_keeps_cuda_and_the_cpu_gets_ours(package, checkpoint, images, monkeypatch):
    expected = Encoder(card(), load_tower(card(), checkpoint())).run(images)
    with monkeypatch.context() as installed:
        for name in ("mamba_ssm", "mamba_ssm.ops", from_mambavision.SCAN):
            installed.setitem(sys.modules, name, ModuleType(name))
        sys.modules[from_mambavision.SCAN].selective_scan_fn = lambda u, *_a, **_o: ("fused", u)
        encoder = Encoder(card(), load_tower(card(), checkpoint()))
        assert sys.modules[from_mambavision.SCAN].selective_scan_fn is not from_mambavision.selective_scan_fn
        for layer, output in encoder.run(images).items():
            assert torch.equal(output.tokens, expected[layer].tokens)
        on_gpu = SimpleNamespace(is_cuda=True)
        assert package.selective_scan_fn(on_gpu) == ("fused", on_gpu)
    from_mambavision._package(card())
