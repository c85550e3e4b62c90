"""Pretraining: how the small encoders that ship with the project were trained, and how good they are."""
