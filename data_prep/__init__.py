"""Commands and pure functions that turn raw text into a vocabulary and pretraining records."""
