#!/usr/bin/env bash
# Sets up, builds the preset `release` and runs all tests.
#
#   scripts/test.sh [--preset NAME] [ctest arguments…]      for example  -R Gptq   or  -LE 'slow|shared'
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

preset=release
if [[ ${1:-} == --preset ]]; then
  [[ $# -ge 2 ]] || die "--preset needs a name"
  preset=$2
  shift 2
fi

cd "$PTQ_ROOT"
scripts/setup.sh
add_venv_to_path

say "building preset $preset"
cmake --preset "$preset"
cmake --build --preset "$preset"

say "testing preset $preset"
ctest --preset "$preset" --parallel "$(nproc)" "$@"
