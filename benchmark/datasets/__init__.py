"""Datasets: a card, a Parquet file or an image folder -> paired samples in a fixed order."""

from benchmark.datasets.load import load_dataset
from benchmark.datasets.paired import PairedDataset, Sample

__all__ = ["PairedDataset", "Sample", "load_dataset"]
