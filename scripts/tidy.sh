#!/usr/bin/env bash
# clang-tidy on the C++ sources that differ from a commit (default: main's last, and what is not yet
# committed), or on the files given.
#
#   scripts/tidy.sh [--since COMMIT] [FILE…]
#
# A file that includes LibTorch takes 20 to 80 s.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

since=HEAD~1
if [[ ${1:-} == --since ]]; then
  [[ $# -ge 2 ]] || die "--since needs a commit"
  since=$2
  shift 2
fi
files=()
for file in "$@"; do
  files+=("$(absolute "$file")")
done
cd "$PTQ_ROOT"
# Configured, never built: clang cannot read g++'s precompiled headers.
build=build/tidy
[[ -f $build/compile_commands.json ]] || cmake --preset release -B "$build" -DPTQ_PCH=OFF -DPTQ_TESTS=OFF
if ((${#files[@]} == 0)); then
  mapfile -t files < <(git diff --name-only --diff-filter=d "$since" -- 'src/*.cpp' 'tools/*.cpp')
fi
((${#files[@]} > 0)) || { echo "tidy: no C++ source changed since $since"; exit 0; }
# g++ knows flags that clang does not.
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option
echo "tidy: ${#files[@]} files"
