"""The library: render, model, sample, caption, gate, score and store retinal photographs."""
