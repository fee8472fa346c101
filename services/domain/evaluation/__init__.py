"""Evaluation as pure rules: checks of one answer, figures of many, the verdict on two arms."""
