#!/usr/bin/env bash
# Eight minutes on one large GPU: how fast `base` and `large` train at 512 px beside a plain loop of
# diffusers', then `tiny` at 512 px for what is left. The same command goes on with that training.
#   docs/examples/h200.sh eyes.csv out
# MINUTES (8), SECONDS_EACH (15 for each way to train); BASE, LARGE, TINY: settings, BASE_PRESET and
# LARGE_PRESET: other presets, for a machine without such a GPU.
set -euo pipefail
data=$1 out=$2
end=$(($(date +%s) + ${MINUTES:-8} * 60))
mkdir -p "$out"
given() { for each in $1; do printf -- '--set\n%s\n' "$each"; done; }
bench() {
    mapfile -t settings < <(given "$2")
    retinaforge bench training "$1" --seconds "${SECONDS_EACH:-15}" "${settings[@]}" --json |
        tee "$out/$1.json"
}
bench "${BASE_PRESET:-diffusion-base}" "${BASE:-batch=64 micro=32 model.checkpointing=false}"
bench "${LARGE_PRESET:-diffusion-large}" "${LARGE:-batch=32 micro=16 model.checkpointing=false}"
mapfile -t settings < <(given "${TINY:-data.size=512 data.variants=2 data.cache=$out/latents}")
left=$((end - $(date +%s) - 10))
# A run that is asked to stop writes a checkpoint; `timeout` then ends with 124.
timeout --signal=TERM "$((left > 30 ? left : 30))" retinaforge train diffusion-tiny \
    --data "$data" --workers 1 --out "$out/tiny" "${settings[@]}" || [ $? = 124 ]
