#!/usr/bin/env bash
# Eight minutes on one large GPU: how fast `base` and `large` train at 512 px beside a plain loop of
# diffusers', then `tiny` at 512 px for what is left. The same command goes on with that training.
#   docs/examples/h200.sh eyes.csv out
#   TRY=1 docs/examples/h200.sh eyes.csv out    the same way on a CPU, in tiny sizes
# MINUTES (8), SECONDS_EACH (15 for each way to train); BASE, LARGE, TINY: other settings.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,6s/^# *//p' "$0" >&2; exit 2; }
data=$1 out=$2
base=diffusion-base large=diffusion-large
cache=data.cache=$out/latents
if [ "${TRY:-}" ]; then
    base=diffusion-debug large=diffusion-tiny
    small='batch=2 micro=1 data.size=64'
    BASE=$small LARGE=$small TINY="$small data.variants=1 checkpoint_every=20 $cache"
    MINUTES=${MINUTES:-4} SECONDS_EACH=${SECONDS_EACH:-2}
fi
end=$(($(date +%s) + ${MINUTES:-8} * 60))
given() { for each in $1; do printf -- '--set\n%s\n' "$each"; done; }
bench() {
    mapfile -t settings < <(given "$2")
    retinaforge bench training "$1" --seconds "${SECONDS_EACH:-15}" "${settings[@]}" --json |
        tee "$out/$1.json"
}
mapfile -t settings < <(given "${TINY:-data.size=512 data.variants=2 $cache}")
tiny=(retinaforge train diffusion-tiny --data "$data" --workers 1 --out "$out/tiny" "${settings[@]}")
# What is wrong with the table is told before the GPU's minutes are spent on speeds.
mkdir -p "$out"
"${tiny[@]}" --dry-run >"$out/plan.txt"
bench $base "${BASE:-batch=64 micro=32 model.checkpointing=false}"
bench $large "${LARGE:-batch=32 micro=16 model.checkpointing=false}"
left=$((end - $(date +%s) - 10))
# A run that is asked to stop writes a checkpoint; `timeout` then ends with 124.
timeout --signal=TERM "$((left > 30 ? left : 30))" "${tiny[@]}" || [ $? = 124 ]
