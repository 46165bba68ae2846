"""The data set folder: plan, commits, parts, and the proof that it is whole."""
