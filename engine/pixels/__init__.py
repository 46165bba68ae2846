"""Image bytes from outside, turned into pixels: what they say, or a refusal by name.

`door` is what the rest of the house calls. The decoding itself (`inside` and what it imports) runs
in a process of its own, under limits of time and memory.
"""
