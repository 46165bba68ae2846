"""The toy preset as a command, for tests that kill it: OUT WORKERS [path=value]..."""

import sys
from pathlib import Path

if __name__ == "__main__":
    import toy
    from ray import cloudpickle

    from train.launch import run_training
    from train.presets import PRESETS

    PRESETS["toy"] = toy.PRESET
    # The toy is no installed package: workers get it by value.
    cloudpickle.register_pickle_by_value(toy)
    settings = dict(item.split("=", 1) for item in sys.argv[3:])
    run_training("toy", [], int(sys.argv[2]), settings, Path(sys.argv[1]), dry_run=False)
