"""Training: the trainer, its schedules, checkpoints, logs and the loop around them."""
