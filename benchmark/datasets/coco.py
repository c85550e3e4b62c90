"""COCO in its official layout: train2017/*.jpg and annotations/captions_train2017.json, about five captions an image.

The rows are the images in the order of their numbers, which is the order of the Hugging Face copies; ids are the
numbers with twelve digits, as in the file names of 2017. Samples with the same image bytes form a group, as in every
other source, so that a held-out split is the same for the official files and for a copy.
"""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmark.catalog import DatasetCard
from benchmark.datasets.source import Rows, Source, check_inside
from benchmark.errors import InputError

SPLITS = {"validation": "val"}
"""Names of splits that COCO spells otherwise."""


class CocoSource(Source):
    """COCO's root folder: folders of images, and a folder `annotations` with the captions of each."""

    def __init__(self, root: Path, card: DatasetCard) -> None:
        """Find the annotations and the images in `root`. Raises InputError if either cannot be found."""
        table = _annotations(root, card)
        super().__init__(table, card, [table])
        for role in ("image", "caption", "id", "group"):
            if getattr(card, role):
                raise InputError(
                    f"dataset '{card.name}': the field `{role}` names a column, and COCO's annotations have none; "
                    "remove it from the card."
                )
        name = re.sub(r"^(captions|image_info)_", "", table.stem)
        found = [folder for folder in (root / name, root / "images" / name) if folder.is_dir()]
        if not found:
            raise InputError(f"dataset '{card.name}': {root} has no folder {name} with the images of {table.name}.")
        self.folder = found[0]

    def rows(self) -> Rows:
        """Read the annotations; see `Source.rows`."""
        try:
            content = json.loads(self.path.read_bytes())
            images = {_number(image["id"]): str(image["file_name"]) for image in content["images"]}
            texts: dict[int, list[tuple[int, Any]]] = defaultdict(list)
            for annotation in content.get("annotations", ()):
                texts[_number(annotation["image_id"])].append((_number(annotation["id"]), annotation["caption"]))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"{self.path} does not hold captions as COCO's do (images with id and file_name, annotations with id, "
                f"image_id and caption): {reason}."
            ) from None
        if len(images) < len(content["images"]):
            raise InputError(f"{self.path} lists several images with the same id; ids must be unique.")
        check_inside(self.folder, images.values(), self.path)
        numbers = sorted(images.keys() | texts.keys())
        problems = {number: "its captions' image is not listed" for number in texts if number not in images}
        captions = {number: _in_order(several) for number, several in texts.items()}
        for number, several in captions.items():
            if not all(isinstance(text, str) for text in several):
                captions[number] = []
                problems.setdefault(number, "its caption is no text")
        return Rows(
            ids=[f"{number:012d}" for number in numbers],
            captions=[captions.get(number, []) for number in numbers],
            groups=[None] * len(numbers),
            files=[images.get(number) for number in numbers],
            has_captions=bool(texts),
            problems=[problems.get(number, "") for number in numbers],
            columns=tuple(sorted(content)),
        )


def _annotations(root: Path, card: DatasetCard) -> Path:
    """Return the file of captions that `card` names, or else the one of its split.

    The only one there is serves for the default split: a card that says nothing means it, and one that asks for another
    split does not.
    """
    if card.annotations:
        path = root / card.annotations
        if not path.is_file():
            raise InputError(f"dataset '{card.name}': there is no file {path}; correct the card's `annotations`.")
        return path
    found = sorted((root / "annotations").glob("captions_*.json"))
    split = re.escape(SPLITS.get(card.split, card.split))
    fitting = [path for path in found if re.fullmatch(rf"captions_{split}([^a-zA-Z].*)?", path.stem)]
    choice = fitting or (found if card.split == DatasetCard.split else [])
    if len(choice) != 1:
        names = ", ".join(path.name for path in choice or found) or "none"
        raise InputError(
            f"dataset '{card.name}': {root / 'annotations'} must hold one captions_*.json for the split '{card.split}' "
            f"(found: {names}); name the right one in the card (field `annotations`)."
        )
    return choice[0]


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no id")
    return value


def _in_order(captions: list[tuple[int, Any]]) -> list[Any]:
    """Return captions in the order of the annotations' ids, without nulls and blank ones."""
    ordered = (text for _, text in sorted(captions, key=lambda pair: pair[0]))
    return [text for text in ordered if text is not None and (not isinstance(text, str) or text.strip())]
