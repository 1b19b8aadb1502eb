#!/usr/bin/env bash
# Speed and memory of quantize and eval, as ratios to the machine's matrix product rate measured in the same run, and of
# calibration with gradients, as a ratio to a forward pass with loss over as many tokens.
#
# usage: scripts/bench.sh MODEL_DIR CALIBRATION.txt TEXT.txt [--samples 64] [--seqlen 512] [--bits 4] [--group-size 64]
#        [--eval-seqlen 2048] [--eval-windows 20] [--gradient-windows 16] [--out build/bench]
# Prints a table; the JSON behind it goes to --out.  Run it on a quiet machine.  PTQ_BIN_DIR names the programs' folder.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
[ $# -ge 3 ] || { sed -n '5,8s/^# \{0,1\}//p' "$0"; exit 2; }
model=$(absolute "$1") calibration=$(absolute "$2") text=$(absolute "$3"); shift 3
samples=64 seqlen=512 bits=4 group=64 eval_seqlen=2048 eval_windows=20 gradient_windows=16 out=$PTQ_ROOT/build/bench
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || { echo "bench: $1 needs a value" >&2; exit 2; }
  case "$1" in
    --samples) samples=$2 ;; --seqlen) seqlen=$2 ;; --bits) bits=$2 ;; --group-size) group=$2 ;;
    --eval-seqlen) eval_seqlen=$2 ;; --eval-windows) eval_windows=$2 ;;
    --gradient-windows) gradient_windows=$2 ;; --out) out=$(absolute "$2") ;;
    *) echo "bench: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
bin=$(absolute "${PTQ_BIN_DIR:-$PTQ_ROOT/build/release/bin}")
cd "$PTQ_ROOT"
mkdir -p "$out"

floor() { "$bin/ptq_floor" "$model" --tokens "$((samples * seqlen))" --seqlen "$seqlen" --eval-seqlen "$eval_seqlen" > "$out/floor-$1.json"; }
# The rate is measured between the runs: a shared machine drifts.
floor 1
"$bin/ptq" quantize "$model" --method gptq --bits "$bits" --group-size "$group" --calibration "$calibration" --windows first \
  --samples "$samples" --seqlen "$seqlen" --out "$out/gptq" --overwrite --log-level warn --json > "$out/gptq.json"
floor 2
"$bin/ptq" eval "$model" --text "$text" --seqlen "$eval_seqlen" --windows "$eval_windows" --log-level warn --json > "$out/eval.json"
floor 3
# The forward passes in front and behind: a shared machine drifts.
forward() {
  "$bin/ptq" eval "$model" --text "$calibration" --seqlen "$seqlen" --windows "$gradient_windows" --log-level warn --json \
    > "$out/forward-$1.json"
}
collect() {
  "$bin/ptq" calibrate "$model" --collect "$1" --calibration "$calibration" --windows first --samples "$gradient_windows" \
    --seqlen "$seqlen" --out "$out/stats" --overwrite --log-level warn --json > "$out/calibrate-$1.json"
}
forward 1
collect token-energy
collect token-energy,fisher-sequence
forward 2
start=$(date +%s.%N)
"$bin/ptq" quantize "$model" --method rtn --bits "$bits" --group-size "$group" --out "$out/rtn" --overwrite --log-level warn --json > "$out/rtn.json"
end=$(date +%s.%N)
python3 scripts/bench_table.py "$out" "$(python3 -c "print($end - $start)")"
