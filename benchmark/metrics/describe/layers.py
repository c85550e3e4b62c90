"""Layers of one encoder against layers of another."""

from benchmark.metrics.describe.measures import CELL_COLUMNS, MEASURES

CELLS: dict[str, tuple[str, str]] = {
    "source_depth": (
        "Source's depth",
        "The source's layer divided by its deepest chosen one: 0 is the first block, 1 the deepest.",
    ),
    "target_depth": (
        "Target's depth",
        "The target's layer divided by its deepest chosen one: 0 is the first block, 1 the deepest.",
    ),
    **MEASURES,
    "low": CELL_COLUMNS["low"],
    "high": CELL_COLUMNS["high"],
    "ceiling": (
        "Ceiling",
        "The cross-fitted value of the source's layer against itself under another seed; empty where seeds of the "
        "source were not compared.",
    ),
    "part": (
        "Part",
        "What of the cross-fitted value of all layers together is due to features of this source layer with partners "
        "in this target layer; a pair's parts add up to it.",
    ),
    "part_low": ("Part, low", "The 2.5 % point of the part when seeds and groups of samples are resampled."),
    "part_high": ("Part, high", "The 97.5 % point of the part when seeds and groups of samples are resampled."),
    "part_chance": (
        "Part, chance",
        "What of the naive value of all layers together is due to this source and target layer when the target's "
        "samples are shuffled.",
    ),
    "best": ("Best", "Whether this is the target layer with the source layer's highest cross-fitted value."),
    "seed_pairs": CELL_COLUMNS["seed_pairs"],
}
"""Columns of the table of cells, a source layer and a target layer each."""

CONCENTRATION: dict[str, tuple[str, str]] = {
    "source": ("Source", "The encoder whose features are matched; empty: the mean over all pairs of the relation."),
    "target": (
        "Target",
        "The encoder in which partners are looked for; empty: the mean over all pairs of the relation.",
    ),
    "relation": (
        "Relation",
        "towers: the two towers of one contrastive model; image-text: another image encoder and text encoder.",
    ),
    "what": (
        "What",
        "What the value is a share of:\n\n- **cells**: the sum of the matrix's cross-fitted cells\n- **parts**: the "
        "cross-fitted value of all layers together\n- **maximum**: the resampled matrices, by where their highest "
        "cell is",
    ),
    "axis": ("Last quarter of", "Whose layers must be of depth 0.75 or more: the source's, the target's, or both's."),
    "value": ("Share", "The share that lies in the last quarter of the layers; cells below 0 count as 0."),
    "low": ("Low", "The 2.5 % point of the share when seeds and groups of samples are resampled."),
    "high": ("High", "The 97.5 % point of the share when seeds and groups of samples are resampled."),
    "flat": ("Flat", "The share that a matrix of equal cells gives."),
    "chance": ("Chance level", "The share that naive values of shuffled samples have in the last quarter."),
}
"""Columns of the table of where cross-modal alignment concentrates."""

DIAGONAL: dict[str, tuple[str, str]] = {
    "rows": (
        "Source layers",
        "Which source layers count: early ones have a depth below 0.5, late ones of 0.5 or more; late - early is the "
        "difference.",
    ),
    "measure": (
        "Measure",
        "What the value is:\n\n- **on**, **off**: the mean cross-fitted cell on and off the diagonal\n- **contrast**: "
        "on minus off\n- **share**: the diagonal's share of its row, mean over rows\n- **hits**: the share of layers "
        "whose best target layer is the same layer",
    ),
    "value": ("Value", "The measure of the row, between an encoder's layers and themselves under other seeds."),
    "low": ("Low", "The 2.5 % point of the value when seeds and groups of samples are resampled."),
    "high": ("High", "The 97.5 % point of the value when seeds and groups of samples are resampled."),
    "flat": ("Flat", "What a matrix of equal cells gives; empty for means of cells."),
}
"""Columns of the table of how far layers find themselves under another seed."""
