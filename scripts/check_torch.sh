#!/usr/bin/env bash
# Builds and tests against the LibTorch of a Python wheel, in build/torch-VERSION.
#
#   scripts/check_torch.sh VERSION [--reuse DIRECTORY] [ctest arguments…]
#
# VERSION    of the PyPI package torch, 2.7.0 or later; installed into build/torch-VERSION/venv
#            without its dependencies (but the two libraries of CUDA that libtorch_cpu.so needs)
# --reuse    a site-packages folder that holds that version already
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[[ $# -ge 1 ]] || die "usage: scripts/check_torch.sh VERSION [--reuse DIRECTORY] [ctest arguments…]"
version=$1
shift
build=build/torch-$version
packages=
if [[ ${1:-} == --reuse ]]; then
  [[ $# -ge 2 ]] || die "--reuse needs a site-packages folder"
  packages=$(absolute "$2")
  [[ -d $packages/torch ]] || die "no torch in $packages"
  shift 2
fi
cd "$PTQ_ROOT"
scripts/setup.sh
add_venv_to_path
mkdir -p "$build"
if [[ -z $packages ]]; then
  make_venv "$build/venv"
  install_torch_wheel "$build/venv" "$version"
  packages=$(echo "$PWD/$build"/venv/lib/python3*/site-packages)
fi

say "building against torch $version"
# Its own folder is also safe from another build's cache: LibTorch is looked for once per folder.
# Nor does it compile the CUDA module, which knows nothing of LibTorch.
cmake --preset release -B "$build" -DCMAKE_PREFIX_PATH="$packages/torch" -DPTQ_CUDA=OFF |
  tee "$build/configure.log"
found=$(sed -n 's/^#define TORCH_VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\)/\2/p' \
  "$packages"/torch/include/torch/headeronly/version.h \
  "$packages"/torch/include/torch/csrc/api/include/torch/version.h 2>/dev/null | head -n 3 | paste -sd.)
[[ $found == "$version" ]] || die "$packages holds torch $found, not $version"
grep -q "^LibTorch_CPU_LIBRARY:FILEPATH=$packages/" "$build/CMakeCache.txt" ||
  die "configuring did not take the LibTorch of $packages"
# All that fails at once: a version of LibTorch rarely differs in one place.
cmake --build "$build" -- -k 0

say "testing against torch $version"
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)" "$@"
