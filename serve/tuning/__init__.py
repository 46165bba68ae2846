"""`tune`: the fastest way to draw with a model on this machine, among those that do its pictures no
harm: a search (`search`) over what may be chosen (`offers`), by clocks (`alone`, `pool`)."""
