"""Training, evaluation and distillation jobs."""
