"""Names and files of other implementations' checkpoints."""
