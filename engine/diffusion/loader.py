"""How diffusers finds the class of a model folder of RetinaForge; a copy travels in every folder:

    DiffusionPipeline.from_pretrained(folder, custom_pipeline=folder, trust_remote_code=True)

The folder's parts are classes of RetinaForge, so its code must be installed.
"""

import importlib

MISSING = (
    "this model is drawn by RetinaForge's own code, which is not installed here: take its checkout "
    "and run `pip install -e CHECKOUT` in this environment (the package `engine` of that checkout; "
    "a package of that name from an index is something else)"
)

try:
    # Not an import statement: diffusers would advise to install whatever is called `engine`.
    RetinaForgePipeline = importlib.import_module("engine.diffusion.pipeline").RetinaForgePipeline
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "engine":
        raise
    raise ImportError(MISSING) from error
