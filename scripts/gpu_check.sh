#!/usr/bin/env bash
# Builds and checks ptq on a machine with a CUDA device that has CMake, Ninja, nvcc and a Python with torch, but perhaps no
# package registry: scripts/bundle_deps.sh, run elsewhere, carries the rest in build/deps.
#
#   scripts/gpu_check.sh [RESULTS.md]      default: build/gpu/results.md
#
# Builds the kernels and runs their tests on the device and on emulated threads; then builds the program, runs the backend's
# contract on the device and measures; last the device's tests under compute-sanitizer, if that is there.  What happened is
# written to one file as it happens, so that a run that is cut short leaves what it had.  Every step runs even when one before
# it failed; the exit code is that of the worst.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# Where toolkits are installed without being in the path.
command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
results=$(absolute "${1:-$PTQ_ROOT/build/gpu/results.md}")
cd "$PTQ_ROOT"
build=build/gpu
mkdir -p "$build" "$(dirname "$results")"
worst=0

# step TITLE COMMAND…: runs it and writes its last lines to the results, 25 or what KEPT_LINES says.
step() {
  local title=$1 status=0 begin=$SECONDS
  shift
  say "$title"
  printf '\n## %s\n\n' "$title" >>"$results"
  "$@" </dev/null >"$build/step.log" 2>&1 || status=$?
  tail -n "${KEPT_LINES:-25}" "$build/step.log" >&2
  {
    printf '%s, %d s\n\n```\n' "$([[ $status == 0 ]] && echo ok || echo "FAILED ($status)")" $((SECONDS - begin))
    tail -n "${KEPT_LINES:-25}" "$build/step.log"
    printf '```\n'
  } >>"$results"
  ((status == 0)) || worst=1
}

# on_device TITLE COMMAND…: a step of tests that skip where there is no device; here they must have run.
on_device() {
  local title=$1
  shift
  step "$title" "$@"
  if grep -q SKIPPED "$build/step.log"; then
    printf '\n**Tests skipped: no device was used.**\n' >>"$results"
    worst=1
  fi
}

# cuBLASLt of the Python packages that torch brings, for toolkits that are the compiler only: its library is looked for when
# it is needed, its header when the kernels are built.
use_python_cuda() {
  local packages=$1 toolkit folder
  for folder in "$packages"/nvidia/*/lib; do
    [[ ! -d $folder ]] || export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
  done
  toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
  compgen -G "$toolkit/include/cublasLt.h" && return
  compgen -G "$toolkit/targets/*/include/cublasLt.h" && return
  for folder in "$packages"/nvidia/*/include; do
    [[ ! -f $folder/cublasLt.h ]] || prefix+=("${folder%/include}")
  done
}

configure() {
  local prefix=() torch
  torch=$(torch_package python3)
  if [[ -n $torch ]]; then
    prefix+=("$torch")
    use_python_cuda "$(dirname "$torch")"
  fi
  if [[ -d build/deps/usr ]]; then
    prefix+=("$PWD/build/deps/usr")
    # pkg-config files say /usr; the folder is put before every path in them.
    export PKG_CONFIG_SYSROOT_DIR=$PWD/build/deps
    export PKG_CONFIG_PATH=$PWD/build/deps/usr/lib/x86_64-linux-gnu/pkgconfig
    export LD_LIBRARY_PATH=$PWD/build/deps/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  fi
  # Another compiler's warnings are no reason to have no results.
  cmake --preset cuda -B "$build" -DPTQ_WERROR=OFF -DCMAKE_PREFIX_PATH="$(IFS=';'; echo "${prefix[*]}")"
}

{
  printf '# GPU check, %s\n\n```\n' "$(git describe --always --dirty 2>/dev/null || echo 'no git')"
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv 2>&1 || true
  nvcc --version 2>&1 | tail -n 2 || true
  printf '```\n'
} >"$results"
step configure configure
# Only what the kernels' tests need: there are results before the rest of the tree is built.
step 'build the kernels' cmake --build "$build" --target ptq_cuda cuda_gpu_test cuda_crossover
# A kernel that waits for ever ends with 124.
on_device device timeout 300 "$build/bin/cuda_gpu_test"
# Rows for src/backends/cuda/crossover.h.
KEPT_LINES=120 step 'crossover of the paths' timeout 300 "$build/bin/cuda_crossover"
# A target of its own: without Boost.Context there is none.
step 'build the emulated tests' cmake --build "$build" --target cuda_test
step emulated timeout 300 "$build/bin/cuda_test" --gtest_brief=1
step 'build the program' cmake --build "$build" --target ptq backends_test
on_device "backend's contract" timeout 300 "$build/bin/backends_test" --gtest_filter='*RoundingBackendKeepsIt*:CudaBackend.ActivationsBeyond*'
# The linears of Llama-3-8B, operands on the device.
for launch in plain graph; do
  step "bench gemm, $launch" timeout 300 "$build/bin/ptq" bench gemm --shape 4096,4096 --shape 4096,6144 --shape 4096,14336 \
    --shape 14336,4096 --rows 1,16,64,256,2048 --backend cuda --launch "$launch"
done
step 'bench gemm, cuBLASLt tuned' timeout 300 "$build/bin/ptq" bench gemm --shape 4096,14336 --rows 256,2048 --backend cuda \
  --set cuda.path=dequantize --set cuda.tune=true
# A small model through LibTorch's CUDA part, held against the processor: perplexities within a thousandth of each other.
small=tests/data/tale-llama
quantize() {
  timeout 300 "$build/bin/ptq" quantize "$small" --group-size 32 --calibration "$small/calibration.txt" --seqlen 128 \
    --out "$build/small-$1" --device "$1" --overwrite "${@:2}"
}
evaluate() { timeout 300 "$build/bin/ptq" eval "$1" --text "$small/heldout.txt" --seqlen 128 "${@:2}"; }
# agree MODEL WAY OTHER: two ways of evaluating, each no worse than the other.
agree() {
  # shellcheck disable=SC2086  # a way is several words
  evaluate "$1" $2 --write-baseline "$build/small.json" && evaluate "$1" $3 --baseline "$build/small.json" --tolerance 0.001 &&
    evaluate "$1" $3 --write-baseline "$build/small.json" && evaluate "$1" $2 --baseline "$build/small.json" --tolerance 0.001
}
for device in cpu cuda; do
  step "quantize, $device" quantize "$device" --method gptq
done
step 'full precision, --device cuda' agree "$small" '--device cpu' '--device cuda'
step '4 bits, --device cuda' agree "$build/small-cuda" '--device cpu' '--device cuda'
step '4 bits, --backend cuda' agree "$build/small-cuda" '--backend cpu' '--backend cuda'
step '4 bits, --device cuda --backend cuda' agree "$build/small-cuda" '--backend cpu' '--device cuda --backend cuda'
step 'quantized there and here' evaluate "$build/small-cuda" --reference "$build/small-cpu" --max-kl 0.001
# Sums of float32 products in another order, through as many layers as the model has: about 1e-6; a wrong term is beyond 1e-4.
statistics=pooled-gradient,fisher-sequence,fisher-token,gradient-energy,sequence-energy,token-energy,weighted-gram,gram,mean-square
collect() {
  timeout 300 "$build/bin/ptq" calibrate "$small" --collect "$statistics" --calibration "$small/calibration.txt" --seqlen 128 \
    --out "$build/stats-$1" --device "$1" --overwrite
}
for device in cpu cuda; do
  step "statistics, $device" collect "$device"
done
step 'statistics there and here' scripts/compare_stores.py "$build/stats-cpu" "$build/stats-cuda" 1e-4
detach() { quantize "$1" --method requant --set requant.steps=1 --set requant.ranking=pqi; }
for device in cpu cuda; do
  step "requant, $device" detach "$device"
done
# A few weights more or less, where scores are nearly equal.
step 'requant there and here' evaluate "$build/small-cuda" --reference "$build/small-cpu" --max-kl 0.01
# cuBLASLt's kernels (nvjet_…) hand over in ways that racecheck takes for races, and leaving them out of it by name ends in an
# error of its own: what it says of other kernels counts.
sanitize() {
  local log=$build/sanitizer.log status=0 others
  timeout 300 compute-sanitizer --tool "$1" --error-exitcode 99 "$build/bin/cuda_gpu_test" --gtest_filter='*Bound*' 2>&1 | tee "$log" || status=$?
  if [[ $1 == racecheck && $status == 99 ]] && grep -q '  PASSED  ' "$log"; then
    # An error that is no race, or a race in which another kernel has a part.
    others=$(grep -E '^========= (Error|Warning|Internal|Program)| access at ' "$log" |
      grep -vE 'Race reported between [A-Za-z]+ access at nvjet_|and [A-Za-z]+ access at nvjet_' || true)
    [[ -z $others ]] && grep -q 'Race reported' "$log"
    return
  fi
  return "$status"
}
for tool in memcheck racecheck synccheck initcheck; do
  if command -v compute-sanitizer >/dev/null; then
    on_device "compute-sanitizer $tool" sanitize "$tool"
  else
    printf '\ncompute-sanitizer %s: not there\n' "$tool" >>"$results"
  fi
done
say "results in $results"
((worst == 0))
