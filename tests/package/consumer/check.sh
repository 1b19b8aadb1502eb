#!/usr/bin/env bash
# check.sh CMAKE BUILD_DIRECTORY: installs the build into a temporary folder, runs the installed
# program, and builds and runs a C++ user's project against the installed package.
set -euo pipefail
cmake=$1 build=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/prefix" > "$work/install.log" || {
  cat "$work/install.log"
  exit 1
}
"$work/prefix/bin/ptq" --version
# The installed program finds its module; on a machine without a device that is not what it misses.
if grep -q "libptq_cuda\.so" "$work/install.log"; then
  env -u PTQ_CUDA_MODULE "$work/prefix/bin/ptq" eval "$work" --backend cuda >"$work/cuda" 2>&1 || true
  cat "$work/cuda"
  if grep -q 'cannot be loaded' "$work/cuda" || ! grep -Eq 'backend cuda: |config.json' "$work/cuda"; then
    exit 1
  fi
fi
"$cmake" -G Ninja -S "$here" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="$(sed -n 's/^CMAKE_CXX_FLAGS:STRING=//p' "$build/CMakeCache.txt")"
"$cmake" --build "$work/build"
"$work/build/consumer" | tee "$work/output"
grep -qx 'sum 16' "$work/output"
grep -qx 'quantizer rtn' "$work/output"
