"""How good sparse autoencoders are, and what tells them apart."""

QUALITY: dict[str, tuple[str, str]] = {
    "fvu": (
        "FVU",
        "Fraction of variance unexplained: squared reconstruction error divided by the squared distance from the "
        "mean; 0 is perfect, 1 is no better than the mean. Taken on held-out samples, or on all where all train.",
    ),
    "l0": ("L0", "The mean number of active latents a sample."),
    "dead": (
        "Dead share",
        "The share of latents that are active on no sample: on none held out, or on none at all where all train.",
    ),
    "weight_cv": (
        "Weight CV",
        "Coefficient of variation of the latents' total activations (standard deviation divided by mean): large when "
        "few latents carry most of the weight.",
    ),
}
"""How good one sparse autoencoder is."""

SAES: dict[str, tuple[str, str]] = {
    **QUALITY,
    "d": ("Width", "The width of the layer that was decomposed."),
    "n_latents": ("Latents", "The size of the dictionary: how many latents the SAE has."),
    "k": ("k", "The largest number of latents that may be active on one sample."),
    "run_id": ("Train run", "The id of the MLflow run that trained the SAE and recorded its features."),
    "model_uri": ("Registered model", "The address in MLflow's model registry that loads the SAE."),
}
"""Columns of a table of sparse autoencoders."""
