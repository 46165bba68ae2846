"""The HTTP door: OpenAI's image API and its gallery page on Ray Serve.

`app` speaks HTTP by the `contract` and holds no model; `sampler` draws what `batching` gathers;
`service` makes both deployments. `auth` knows the token, `proxy` and `connection` bound what comes
from Ray Serve's own proxy before anybody has asked for it.
"""
