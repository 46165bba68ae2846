#!/usr/bin/env bash
# Measures what the documents print: each file of this folder that is missing is made, one command a
# file. Stopped, it goes on with the file that it was at. Delete a file to have it measured anew.
#   docs/evidence/run.sh labels.csv work      labels.csv: photographs; work: where sets are drawn
set -euo pipefail
[ $# = 2 ] || { sed -n '2,4s/^# *//p' "$0" >&2; exit 2; }
real=$1 work=$2 here=$(dirname "$0")

drawn() { # drawn NAME FLAGS…: a set, where it is not whole yet; rows that failed (3) stay out
    [ -e "$work/$1" ] && return
    retinaforge generate --out "$work/$1.part" "${@:2}" || [ $? = 3 ]
    mv "$work/$1.part" "$work/$1"
}
measured() { # measured NAME COMMAND…: what the command prints, as NAME.json
    [ -e "$here/$1.json" ] && return
    "${@:2}" --json >"$here/$1.json.part"
    mv "$here/$1.json.part" "$here/$1.json"
}

admitted() { # admitted MODEL SIZE COUNT: what its levels' rows are like, written beside the model
    [ -e "$work/levels-$1-$2.json" ] && return
    retinaforge evaluate levels "$1" --size "$2" --count "$3" --work "$work/levels" --write --json >"$work/levels-$1-$2.json.part"
    mv "$work/levels-$1-$2.json.part" "$work/levels-$1-$2.json"
}

mkdir -p "$work"
drawn dualgan-80 --count 80 --model dualgan-tiny
measured judgement-dualgan-tiny retinaforge evaluate all "$work/dualgan-80" --real "$real" --quick

python "$here/sites.py" "$real" "$work"
drawn refined-480 --count 480 --model refiner-tiny --size 256 --spec "$here/retinopathy.yaml" --gates none
measured search retinaforge evaluate search --real "$work/idrid.csv"
measured efficiency retinaforge evaluate efficiency "$work/refined-480" --real "$work/idrid.csv" --external "$work/hrf.csv"
measured explain retinaforge explain classifier-tiny --images "${real%/*}/large/labels.csv" --out "$work/maps"
measured explain_drawn retinaforge explain classifier-tiny --images "$work/refined-480" --count 20 --out "$work/maps-drawn"

# What the shipped towers tell of real eyes by words alone.
[ -e "$work/captioned.csv" ] || python "$here/captioned.py" "$real" >"$work/captioned.csv"
measured towers_visionclip-tiny retinaforge evaluate towers visionclip-tiny --images "$work/captioned.csv"

# What captions alone teach towers, beside photographs.
drawn phantoms-2000 --count 2000 --model phantom --size 256 --seed 1 --gates none --spec "$here/phantoms.yaml"
drawn refiner-2000 --count 2000 --model refiner-tiny --size 256 --seed 12
measured zeroshot_phantoms retinaforge evaluate zeroshot "$work/phantoms-2000" --real "$work/captioned.csv"
measured judgement-refiner-tiny retinaforge evaluate all "$work/refiner-2000" --real "$real"
measured zeroshot_generated retinaforge evaluate zeroshot "$work/refiner-2000" --real "$work/captioned.csv"

# What vessels drawn sets teach, and whether what is painted on made structures and on phantoms' is as
# photographs are.
alike=(evaluate geometry --real "$real" --source idrid --size 256 --segmenter segmenter)
drawn gan-120 --count 120 --model dualgan-tiny --geometry gan
measured search-vessels retinaforge evaluate search --vessels --real "$real"
measured vessels retinaforge evaluate vessels "$work/gan-120" --real "$real"
drawn gan-idrid-40 --count 40 --model dualgan-tiny --geometry gan --source idrid
measured geometry-gan retinaforge "${alike[@]}" "$work/gan-idrid-40"
drawn phantom-idrid-40 --count 40 --model dualgan-tiny --geometry phantom --source idrid
measured geometry-phantom retinaforge "${alike[@]}" "$work/phantom-idrid-40"

# Which levels of `tiny` are admitted, and how fast they are. Speeds want a machine that does nothing else.
admitted tiny 256 64
admitted tiny 512 40
pictures() { # pictures SIZE: where plot and sheet of a size go
    echo --plot "$here/../speed_$1.png" --sheet "$here/../levels_$1.jpg"
}
measured sampling-256 retinaforge bench sampling --model tiny --size 256 --images 8 $(pictures 256)
measured sampling-512 retinaforge bench sampling --model tiny --size 512 --images 2 --rounds 2 $(pictures 512)

python "$here/tables.py"
