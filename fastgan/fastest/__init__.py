"""The fastest way to run a model on this machine: exports made when first asked for, a measured search, its memory."""
