"""Columns of the leaderboard."""

_FIGURES: dict[str, tuple[str, str]] = {
    "share_text": (
        "Share with text",
        "The mean {value} from this encoder to the text-only encoders: how much of it is found again there.",
    ),
    "share_vision": ("Share with vision", "The mean {value} from this encoder to the vision-only encoders."),
    "share_vlm": (
        "Share with VLMs",
        "The mean {value} from this encoder to the towers of vision-language models; of its own model, the "
        "other tower counts, it itself does not.",
    ),
    "share": ("Share with all", "The mean {value} from this encoder to all other encoders."),
    "found": (
        "Found here",
        "The mean {value} from all other encoders to this one: how much of them is found again here.",
    ),
    "asymmetry": (
        "Asymmetry",
        "Share with all minus found here: above 0, more of this encoder is found in others than of others in it.",
    ),
    "stability": (
        "Seed stability",
        "The {value} between dictionaries of this encoder trained with different seeds: the ceiling.",
    ),
}


def figures(value: str) -> dict[str, tuple[str, str]]:
    """Return the figures of an encoder, column -> (title, sentence), where they are means of a value so called."""
    return {name: (title, text.format(value=value)) for name, (title, text) in _FIGURES.items()}


def beside(columns: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return what stands beside figures: NAME_interval, NAME_group and NAME_sd of every column given."""
    found = {}
    for name, (title, _) in columns.items():
        found[f"{name}_interval"] = (
            "95 % interval",
            f"{title}: its 2.5 % and 97.5 % points when seeds and groups of samples are resampled.",
        )
        found[f"{name}_group"] = (
            "Group",
            f"{title}: encoders with a number in common do not differ at 5 % (Holm's method over all pairs).",
        )
        found[f"{name}_sd"] = ("±", f"{title}: its standard deviation over seeds.")
    return found


BOARD = figures("cross-fitted wMPPC")
"""Columns of the leaderboard."""
