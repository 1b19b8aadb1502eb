#!/usr/bin/env bash
# Writes docs/cli.md from the program's own help.  usage: scripts/make_cli_docs.sh [--check]    PTQ names the program
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
ptq=$(absolute_program "${PTQ:-$PTQ_ROOT/build/release/bin/ptq}")
cd "$PTQ_ROOT"

write() {
  cat <<'TEXT'
# Command line

Made from the program's own help by `scripts/make_cli_docs.sh`; do not edit.

Results go to standard output (`--json`: one JSON object), logs and progress to standard error.
`--config FILE` reads a JSON object whose keys are the command's long flags without dashes: `true` or `false` for a flag
without a value (`"symmetric": false` is asymmetric), a list for one that may be given several times. What is typed
overrides the file's entry for the same flag, and for one that it excludes.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | internal error: a defect of the program |
| 2 | usage: options, configuration or missing files |
| 3 | malformed file |
| 4 | valid but not supported |
| 5 | numerical: a value is not finite, a factorization failed, too many fallbacks |
| 6 | a gate failed |
| 7 | out of disk or memory |
| 130 | interrupted; `--resume` goes on |
TEXT
  for command in "" quantize calibrate "stats merge" sensitivity plan eval compare export inspect verify list "bench gemm"; do
    printf '\n## ptq %s\n\n```\n' "$command" | sed 's/ $//'
    # shellcheck disable=SC2086  # no command: no argument
    "$ptq" $command --help
    printf '```\n'
  done
  printf '\n## Methods, formats, backends and families\n\n```\n'
  "$ptq" list
  printf '```\n'
}

if [ "${1:-}" = --check ]; then
  write | diff -u docs/cli.md - || { echo "docs/cli.md is out of date: run scripts/make_cli_docs.sh" >&2; exit 1; }
else
  write > docs/cli.md
fi
