"""The data set gate: what is wrong with a training file, before anything is spent on it."""
