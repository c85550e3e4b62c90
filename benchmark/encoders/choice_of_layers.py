"""Which of a model's layers its card offers."""

from benchmark.catalog import EncoderCard
from benchmark.errors import InputError


def chosen_layers(card: EncoderCard, layers: list[int]) -> list[int]:
    """Return those of a model's `layers` that its card offers: all, last, or block indices separated by commas.

    Raises InputError for anything else and for a layer that the model lacks.
    """
    if card.layers == "all":
        return layers
    if card.layers == "last":
        return layers[-1:]
    try:
        chosen = sorted({int(part) for part in card.layers.split(",")})
    except ValueError:
        raise InputError(
            f"encoder '{card.name}': `layers` must be all, last or block indices like 0,5,11, got '{card.layers}'."
        ) from None
    for layer in chosen:
        if layer not in layers:
            raise no_layer(card.name, layer, layers)
    return chosen


def no_layer(name: str, layer: int, layers: list[int]) -> InputError:
    """Return the error for a layer that is not among an encoder's `layers`."""
    whole = layers == list(range(layers[0], layers[-1] + 1))
    known = f"{layers[0]} to {layers[-1]}" if whole else ", ".join(map(str, layers))
    return InputError(f"encoder '{name}' has no layer {layer}: its layers are {known}.")
