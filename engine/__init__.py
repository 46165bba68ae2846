"""The library: from annotation to stored, verified photograph.

Read it in the order of the data. Words: `schema`, `labels`, `seeds`, `device`. What a row is to
show: `prose`, `specs`. Where rows end up: `store`. What models learn from: `data`. What draws them:
`models`, `diffusion`, `registry`. The job, on one machine or many: `stages`, `pipeline`.
"""
