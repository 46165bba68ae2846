"""Photographs as clinics and public sets have them become a folder of images with a table.

`survey` finds photographs and what is said of them (a published layout, a table of the user's, a
plain folder), `picture` reads one and writes it anew, `same` finds those that are there twice, and
`run` puts all together, into a folder that a killed run goes on with.
"""
