"""Distillation as pure rules: which of a teacher's answers are worth training on."""
