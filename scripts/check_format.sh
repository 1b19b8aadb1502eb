#!/usr/bin/env bash
# Fails if clang-format would change a C++ file; --fix changes them.
#
# The format is that of clang-format 14 (Debian 12); another version may see some lines otherwise.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$PTQ_ROOT"

mode=(--dry-run --Werror)
[[ ${1:-} != --fix ]] || mode=(-i)
files() { git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cpp' '*.cu'; }
count=$(files | tr -cd '\0' | wc -c)
((count > 0)) || die "no C++ file found"
files | xargs -0 clang-format "${mode[@]}"
echo "check_format: $count files"
