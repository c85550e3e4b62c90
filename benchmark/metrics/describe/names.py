"""Columns that name what a row is about, in whichever table they stand."""

from benchmark.metrics.describe.measures import AGGREGATES

NAMES: dict[str, tuple[str, str]] = {
    "suite": ("Suite", "The suite of encoders and settings that the run is of."),
    "dataset": ("Dataset", "The data on which SAEs are trained and features recorded."),
    "encoder": ("Encoder", "The encoder that the row is about."),
    "source": ("Source", "The encoder whose features are matched."),
    "target": ("Target", "The encoder in which their partners are looked for."),
    "kind": ("Class", "vision: trained on images alone; text: on text alone; vlm: a tower of a vision-language model."),
    "modality": ("Modality", "What the encoder reads: images or text."),
    "family": ("Family", "Encoders of one architecture and way of training."),
    "size": ("Size", "How large the encoder is within its family."),
    "codes": (
        "Codes",
        "What is recorded of a latent: topk keeps the k strongest of a sample, relu every one above 0.",
    ),
    "recorded_on": ("Samples", "Which samples the features are compared on: held-out ones, training ones or all."),
    "aggregate": (
        "Layers",
        "How layers are joined:\n\n" + "\n".join(f"- **{name}**: {text}" for name, (_, text) in AGGREGATES.items()),
    ),
    "seed": (
        "Seed",
        "The number of the training: it sets the initial weights and the order of the samples unless told otherwise.",
    ),
    "source_seed": ("Source's seed", "The seed whose features are matched."),
    "target_seed": ("Target's seed", "The seed in which their partners are looked for."),
    "layer": ("Layer", "The block of the encoder, counted from 0, whose output the SAE decomposes."),
    "source_layer": ("Source's layer", "The block of the source, counted from 0."),
    "target_layer": ("Target's layer", "The block of the target, counted from 0."),
    "feature": ("Feature", "The number of the latent in the dictionary of its layer, from 0."),
    "partner_layer": ("Partner's layer", "The block of the other encoder, counted from 0, that has the partner."),
    "partner": ("Partner", "The number of the other encoder's feature that correlates most with this one."),
    "run_id": ("Run", "The id of the MLflow run."),
}  # fmt: skip
"""Names of things; numbers among them are no quantities."""
