# shellcheck shell=bash
# Shared by the scripts of this folder: `. "$(dirname "$0")/lib.sh"`.

# shellcheck disable=SC2034  # used by the scripts that include this file
PTQ_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Tools that setup.sh had to take from PyPI (cmake on an old distribution) come first.  To be called
# again after setup.sh.
add_venv_to_path() {
  if [[ -d $PTQ_ROOT/.venv/bin && :$PATH: != *:$PTQ_ROOT/.venv/bin:* ]]; then
    PATH=$PTQ_ROOT/.venv/bin:$PATH
  fi
}
add_venv_to_path

say() { printf '\n== %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# absolute PATH: as seen from the current directory, so before a script leaves its caller's.
absolute() { realpath -ms -- "$1"; }

# absolute_program PROGRAM: the same, but a name without a slash stays one that PATH resolves.
absolute_program() {
  if [[ $1 == */* ]]; then absolute "$1"; else echo "$1"; fi
}

# as_root COMMAND…: by sudo when needed; a password prompt would hang a script, so there is none.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -n "$@" || die "this needs root: sudo $*"
  else
    die "this needs root, and there is no sudo: $*"
  fi
}

# version_at_least HAVE WANT
version_at_least() {
  [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]
}

# make_venv DIRECTORY: a Python environment with pip, unless it exists.
make_venv() {
  [[ -x $1/bin/pip ]] || python3 -m venv "$1"
}

# install_torch_wheel VENV VERSION: LibTorch from PyPI.  Of the wheel's dependencies only the two
# that libtorch_cpu.so is linked with are needed, a tenth of the download.
install_torch_wheel() {
  local venv=$1 version=$2 library cuda suffix=''
  "$venv/bin/pip" install --quiet --no-deps "torch==$version"
  library=$(echo "$venv"/lib/python3*/site-packages/torch/lib/libtorch_cpu.so)
  cuda=$(readelf -d "$library" | sed -n 's/.*NEEDED.*\[libcudart\.so\.\([0-9]*\).*/\1/p')
  [[ -n $cuda ]] || return 0
  # Until CUDA 12 the packages carry the major version in their name.
  ((cuda >= 13)) || suffix=-cu$cuda
  "$venv/bin/pip" install --quiet --no-deps \
    "nvidia-cuda-runtime$suffix==$cuda.*" "nvidia-cuda-cupti$suffix==$cuda.*"
}

# torch_package PYTHON: the folder of the package `torch`, or nothing.
torch_package() {
  "$1" -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])' \
    2>/dev/null || true
}
