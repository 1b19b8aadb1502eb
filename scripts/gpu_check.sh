#!/usr/bin/env bash
# Builds and checks ptq on a machine with a CUDA device that has CMake, Ninja, nvcc and a Python with torch, but perhaps no
# package registry: scripts/bundle_deps.sh, run elsewhere, carries the rest in build/deps.
#
#   scripts/gpu_check.sh [RESULTS.md]      default: build/gpu/results.md
#
# Runs ctest -L gpu, the emulated tests, and compute-sanitizer where it is there; writes what happened, with the device's
# name, to one file.  Every step runs even when one before it failed; the exit code is that of the worst.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
results=$(absolute "${1:-$PTQ_ROOT/build/gpu/results.md}")
cd "$PTQ_ROOT"
build=build/gpu
mkdir -p "$build" "$(dirname "$results")"
worst=0

# step TITLE COMMAND…: runs it and writes its last lines to the results.
step() {
  local title=$1 status=0 begin=$SECONDS
  shift
  say "$title"
  "$@" >"$build/step.log" 2>&1 || status=$?
  tail -n 25 "$build/step.log" >&2
  {
    printf '\n## %s: %s, %d s\n\n```\n' "$title" "$([[ $status == 0 ]] && echo ok || echo "FAILED ($status)")" \
      $((SECONDS - begin))
    tail -n 25 "$build/step.log"
    printf '```\n'
  } >>"$results"
  ((status == 0)) || worst=1
}

configure() {
  local prefix=() torch
  torch=$(python3 -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent)' 2>/dev/null || true)
  [[ -z $torch ]] || prefix+=("$torch")
  if [[ -d build/deps/usr ]]; then
    prefix+=("$PWD/build/deps/usr")
    # pkg-config files say /usr; the folder is put before every path in them.
    export PKG_CONFIG_SYSROOT_DIR=$PWD/build/deps
    export PKG_CONFIG_PATH=$PWD/build/deps/usr/lib/x86_64-linux-gnu/pkgconfig
    export LD_LIBRARY_PATH=$PWD/build/deps/usr/lib/x86_64-linux-gnu:${LD_LIBRARY_PATH:-}
  fi
  cmake --preset cuda -B "$build" -DCMAKE_PREFIX_PATH="$(IFS=';'; echo "${prefix[*]}")"
}

# Only what the CUDA tests need: they are there before the rest of the tree is.
build_kernels() { cmake --build "$build" --target ptq_cuda cuda_test cuda_gpu_test; }

sanitize() {
  local tool
  for tool in memcheck racecheck synccheck initcheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/bin/cuda_gpu_test" --gtest_filter='*Bound*' || return 1
  done
}

{
  printf '# GPU check, %s\n\n' "$(git describe --always --dirty 2>/dev/null || echo 'no git')"
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv 2>&1 || true
  nvcc --version 2>&1 | tail -n 2 || true
} >"$results"
step configure configure
step build build_kernels
step emulated "$build/bin/cuda_test" --gtest_brief=1
step device "$build/bin/cuda_gpu_test"
# A test that skips passes; here it must have run.
if grep -q 'SKIPPED' "$build/step.log"; then
  printf '\n**The device tests skipped: no device was used.**\n' >>"$results"
  worst=1
fi
if command -v compute-sanitizer >/dev/null; then
  step compute-sanitizer sanitize
else
  printf '\ncompute-sanitizer: not there\n' >>"$results"
fi
say "results in $results"
((worst == 0))
