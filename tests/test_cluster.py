"""The cluster file, read by Ray's own loader."""

from __future__ import annotations

from pathlib import Path

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parent.parent / "cluster.yaml"


def test_ray_accepts_the_cluster_file_and_no_work_runs_on_the_head():
    config = prepare_config(yaml.safe_load(CLUSTER.read_text()))
    validate_config(config)
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"]["CPU"] == 0
    assert all(types[name].get("max_workers", 0) > 0 for name in types if name != "head")
