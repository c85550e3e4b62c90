"""Speed of extraction against plain loops, interleaved in one process, files included on our side.

    python perf/extract.py                     # the shipped small encoders
    python perf/extract.py --full              # ViT-B/16 at 224 and BERT-B, randomly initialised

one    one sample at a time: the library's own preprocess and forward, a hook on every block
batch  the same with batches of 128, preprocessed one after the other
ours   benchmark.jobs.activations.extract, which also writes the files

Images are JPEGs of 500 x 375 pixels (the size of COCO's, quality 90, smooth noise) in a temporary image folder, read
from the same dataset by all three. Captions have 4 to 24 words, most of them about 10.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmark.datasets import PairedDataset, load_dataset
from benchmark.encoders.torchvision_ops import declare_missing_ops

declare_missing_ops()

import timm  # noqa: E402 - after the operators that torchvision lacks
import transformers  # noqa: E402

from benchmark.catalog import EncoderCard, find_card, local_path  # noqa: E402
from benchmark.encoders import Encoder, load_encoder  # noqa: E402
from benchmark.encoders.from_timm import TimmTower  # noqa: E402
from benchmark.jobs.activations import extract  # noqa: E402

Loop = Callable[[list[int]], np.ndarray]
WORDS = "a the red green small large ball cube table dog cat on under left right of two three near sky"


def write_images(folder: Path, n: int) -> None:
    """Write n JPEGs and captions as an image folder."""
    noise = np.random.default_rng(0)
    folder.mkdir()
    lines = []
    for i in range(n):
        coarse = Image.fromarray(noise.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize((500, 375))
        grain = noise.integers(-12, 13, (375, 500, 3))
        pixels = (np.asarray(coarse).astype(int) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:05d}.jpg", quality=90)
        count = int(np.clip(noise.normal(10, 4), 4, 24))
        lines.append(json.dumps({"file_name": f"{i:05d}.jpg", "text": " ".join(noise.choice(WORDS.split(), count))}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def hooked(blocks: Sequence[torch.nn.Module], forward: Callable[[list[Any]], Any], size: int, read: Any) -> Loop:
    """Return a loop over rows in batches of `size` that collects every block's first token, (rows, layers, d)."""
    seen: list[torch.Tensor] = []
    for block in blocks:
        block.register_forward_hook(lambda _m, _i, out: seen.append((out[0] if isinstance(out, tuple) else out)[:, 0]))

    @torch.no_grad()
    def loop(rows: list[int]) -> np.ndarray:
        found = []
        for start in range(0, len(rows), size):
            seen.clear()
            forward([read(i) for i in rows[start : start + size]])
            found.append(torch.stack(seen, 1).numpy())
        return np.concatenate(found)

    return loop


def image_case(full: bool, dataset: PairedDataset) -> tuple[Encoder, dict[str, Loop]]:
    """Return our encoder and the two plain loops of an image model."""

    def model() -> Any:
        torch.manual_seed(0)
        if full:
            return timm.create_model("vit_base_patch16_224", num_classes=0).eval()
        card = find_card(EncoderCard, "small-vit")
        return timm.create_model(f"local-dir:{local_path(card.source, card.base)}", pretrained=True).eval()

    card = EncoderCard(name="vit-b", library="timm", source="-", modality="image", kind="vision", token="cls")
    encoder = Encoder(card, TimmTower(model())) if full else load_encoder("small-vit")
    plain = model()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(plain), is_training=False)

    def forward(images: list[Any]) -> Any:
        return plain(torch.stack([transform(image) for image in images]))

    def read(i: int) -> Any:
        return dataset[i].image

    one = hooked(plain.blocks, forward, 1, read)
    other = model()
    batched = hooked(other.blocks, lambda images: other(torch.stack([transform(i) for i in images])), 128, read)
    return encoder, {"one": one, "batch": batched}


def text_case(full: bool, dataset: PairedDataset) -> tuple[Encoder, dict[str, Loop]]:
    """Return our encoder and the two plain loops of BERT."""
    from benchmark.encoders.from_transformers import TextTower

    card = find_card(EncoderCard, "small-bert")
    folder = str(local_path(card.source, card.base))

    def model() -> Any:
        torch.manual_seed(0)
        if full:
            return transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False).eval()
        return transformers.AutoModel.from_pretrained(folder).eval()

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    captions = dataset.captions()

    def loop(size: int) -> Loop:
        plain = model()

        def forward(texts: list[str]) -> Any:
            return plain(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt"))

        return hooked(plain.encoder.layer, forward, size, captions.__getitem__)

    encoder = Encoder(card, TextTower(model(), tokenizer, 0)) if full else load_encoder("small-bert")
    return encoder, {"one": loop(1), "batch": loop(128)}


def compare(name: str, encoder: Encoder, loops: dict[str, Loop], dataset: PairedDataset, args: Any) -> None:
    """Time all three over the same samples, alternating, and check that they find the same vectors."""
    few = {"one": max(32, args.samples // 8), "batch": args.samples, "ours": args.samples}
    times: dict[str, list[float]] = {way: [] for way in few}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(args.rounds + 1):
            found = {}
            for way, n in few.items():
                start = time.perf_counter()
                if way == "ours":
                    pooled = extract(encoder, dataset, encoder.layers, Path(temporary, str(turn))).pooled
                    found[way] = np.stack(list(pooled.values()), 1)
                else:
                    found[way] = loops[way](list(range(n)))
                if turn:  # the first round warms up
                    times[way].append((time.perf_counter() - start) / n)
    scale = np.abs(found["batch"]).max()
    worst = max(float(np.abs(found[way][: few["one"]] - found["batch"][: few["one"]]).max()) for way in few) / scale
    rates = {way: 1 / float(np.median(spent)) for way, spent in times.items()}
    spread = {way: f"{1 / max(spent):.0f}-{1 / min(spent):.0f}" for way, spent in times.items()}
    print(
        f"{name}: {len(encoder.layers)} layers, N={args.samples} (one: {few['one']}), {args.rounds} rounds, "
        f"{torch.get_num_threads()} threads, {encoder.device}\n"
        + "".join(f"  {way:<6}{rates[way]:8.1f} samples/s (rounds {spread[way]})\n" for way in rates)
        + f"  ours / one {rates['ours'] / rates['one']:.2f}, ours / batch {rates['ours'] / rates['batch']:.2f}, "
        f"largest difference {worst:.1e} of the largest value",
        flush=True,
    )


def main() -> None:
    """Run the comparison for an image and a text encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("image", "text"))
    parser.add_argument("--threads", type=int, default=0, help="of torch (0: its default)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as temporary:
        write_images(Path(temporary, "images"), args.samples)
        dataset = load_dataset(Path(temporary, "images"), cache=Path(temporary, "cache"), progress=False)
        for modality, case in (("image", image_case), ("text", text_case)):
            if args.only in (None, modality):
                name = {"image": ("small-vit", "ViT-B/16 224"), "text": ("small-bert", "BERT-B")}[modality][args.full]
                compare(name, *case(args.full, dataset), dataset, args)


if __name__ == "__main__":
    main()
