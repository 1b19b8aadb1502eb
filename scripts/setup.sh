#!/usr/bin/env bash
# Installs what building and testing ptq needs and this machine lacks.
#
#   scripts/setup.sh [--dev] [--list]
#
# --dev   also the tools that only developers and CI need
# --list  prints every package and why it is needed, and installs nothing
#
# Debian 12 and later, Ubuntu 22.04 and later.  Asks no question; done in a second when nothing is
# missing.  Without root it uses sudo.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

readonly TORCH_WHEEL=2.11.0   # where the distribution has no LibTorch 1.13 or later
readonly CMAKE_MINIMUM=3.24

# package  why
readonly BUILD="\
build-essential        the C++17 compiler
cmake                  the build, $CMAKE_MINIMUM or later
ninja-build            runs the build
ccache                 makes the second build fast
pkg-config             finds PCRE2, utf8proc and SentencePiece
git                    the version that ptq reports
python3                the checks in scripts/
python3-pip            scripts/get_smollm2.sh
ca-certificates        pip's connections
libcli11-dev           the command line
nlohmann-json3-dev     JSON
libspdlog-dev          the log
libgtest-dev           the tests
libgmock-dev           the tests
libboost-context-dev   the tests: the threads of an emulated GPU
libpcre2-dev           Unicode patterns of tokenizers
libutf8proc-dev        Unicode normalization of tokenizers
libsentencepiece-dev   tokenizer.model
libssl-dev             SHA-256 of the manifest"
readonly DISTRIBUTION_TORCH="\
libtorch-dev           LibTorch: tensors and their kernels
libopenblas0-openmp    LAPACK and BLAS of rare paths on LibTorch's own threads"
readonly WHEEL="\
python3-venv           LibTorch, or cmake, as Python wheels in .venv/
ca-certificates        pip's connections"
readonly DEVELOPER="\
clang-format           the style of the sources
clang-tidy             scripts/tidy.sh
shellcheck             the style of the scripts"

names() { awk '{print $1}' <<<"$1"; }

# The packages of a list that are not installed.
missing() {
  local name
  for name in $(names "$1"); do
    [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$name" 2>/dev/null) == ii* ]] || echo "$name"
  done
}

apt_install() {
  [[ $# -gt 0 ]] || return 0
  say "installing: $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
}

# candidate PACKAGE: the version that apt would install or has installed, or nothing.
candidate() {
  apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" {print $2}'
}

has_distribution_torch() {
  local version
  version=$(candidate libtorch-dev)
  [[ -n $version ]] && version_at_least "$version" 1.13
}

# A LibTorch that configuring would find before the distribution's.
has_python_torch() {
  local package
  package=$(torch_package python3)
  [[ -n $package && -f $package/lib/libtorch_cpu.so ]]
}

setup_torch() {
  if has_python_torch; then
    return
  elif has_distribution_torch; then
    # shellcheck disable=SC2046
    apt_install $(missing "$DISTRIBUTION_TORCH")
  else
    say "no libtorch-dev here: LibTorch $TORCH_WHEEL from PyPI into .venv/"
    # shellcheck disable=SC2046
    apt_install $(missing "$WHEEL")
    make_venv "$PTQ_ROOT/.venv"
    install_torch_wheel "$PTQ_ROOT/.venv" "$TORCH_WHEEL"
  fi
}

setup_cmake() {
  local have
  have=$(cmake --version | awk 'NR == 1 {print $3}')
  version_at_least "$have" "$CMAKE_MINIMUM" && return
  say "cmake $have is too old: a newer one from PyPI into .venv/"
  # shellcheck disable=SC2046
  apt_install $(missing "$WHEEL")
  make_venv "$PTQ_ROOT/.venv"
  "$PTQ_ROOT/.venv/bin/pip" install --quiet "cmake>=$CMAKE_MINIMUM,<4"
}

main() {
  local wanted=$BUILD list=no
  while [[ $# -gt 0 ]]; do
    case $1 in
      --dev) wanted+=$'\n'$DEVELOPER ;;
      --list) list=yes ;;
      *) die "unknown option $1 (see the head of scripts/setup.sh)" ;;
    esac
    shift
  done
  if [[ $list == yes ]]; then
    printf '%s\n%s\n\nonly where the distribution has no libtorch-dev 1.13 or later, or no cmake %s:\n%s\n' \
      "$wanted" "$DISTRIBUTION_TORCH" "$CMAKE_MINIMUM" "$WHEEL"
    return
  fi
  command -v apt-get >/dev/null ||
    die "no apt-get here: install the equivalents of \`scripts/setup.sh --list\` by hand"
  local lacking
  lacking=$(missing "$wanted")
  has_python_torch || lacking+=" $(missing "$DISTRIBUTION_TORCH")"
  if [[ -n ${lacking// /} ]]; then
    # Whether there is a libtorch-dev, too, only apt's lists tell.
    # A subshell: as_root ends the shell that it fails in.
    (as_root apt-get update -qq) || say "apt-get update failed; going on with the lists at hand"
    # shellcheck disable=SC2046  # one word per package
    apt_install $(missing "$wanted")
  fi
  setup_cmake
  setup_torch
}

main "$@"
