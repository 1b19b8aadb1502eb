#!/usr/bin/env bash
# Fills build/deps with the packages that building ptq needs beside a compiler, CMake, Ninja, nvcc and LibTorch, for
# machines that reach no package registry (scripts/gpu_check.sh).
#
#   scripts/bundle_deps.sh
#
# Debian and Ubuntu; run it on a machine with network, of the same distribution as the other one or an older.  The folder
# travels with the checkout though git ignores it: headers and libraries below build/deps/usr.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# What scripts/setup.sh installs for the build, without the tools; the libraries that they need at run time are looked up.
readonly PACKAGES="libcli11-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libgtest-dev libgmock-dev libpcre2-dev
pkgconf pkgconf-bin libpkgconf3 libutf8proc-dev libsentencepiece-dev libssl-dev libboost-context-dev"

# depends_on PACKAGE: names, without virtual ones.
depends_on() { apt-cache depends --no-recommends --no-suggests "$1" | awk '$1 == "Depends:" && $2 !~ /^</ {print $2}'; }

# Boost's headers are 150 MB; the tests use these.
keep_used_boost() {
  local include=$1/usr/include used
  used=$(printf '#include <boost/context/%s.hpp>\n' fiber pooled_fixedsize_stack |
    c++ -std=c++17 -x c++ -M -I "$include" - | grep -o "$include/boost/[^ ]*" | sort -u)
  [[ -n $used ]] || die "no header of Boost found in $include"
  mkdir "$include/boost.used"
  while read -r header; do
    install -D -m 644 "$header" "$include/boost.used/${header#"$include"/boost/}"
  done <<<"$used"
  cp "$include/boost/version.hpp" "$include/boost.used/"
  rm -rf "$include/boost"
  mv "$include/boost.used" "$include/boost"
}

main() {
  command -v apt-get >/dev/null || die "no apt-get here"
  local deps=$PTQ_ROOT/build/deps package
  rm -rf "$deps"
  mkdir -p "$deps/packages"
  cd "$deps/packages"
  local all=$PACKAGES boost
  for package in $PACKAGES; do
    all+=" $(depends_on "$package" | grep '^lib.*[0-9]$' | grep -v '^lib\(c\|gcc-s\|stdc++\)[0-9]*$' || true)"
  done
  # libboost-context-dev names its version: libboost-context1.74-dev, and so do what that needs.
  boost=$(depends_on libboost-context-dev)
  all+=" $boost $(for package in $boost; do depends_on "$package"; done | grep '^libboost')"
  for package in $all; do
    apt-get download -qq "$package" || say "no package $package here; going on without it"
  done
  for package in *.deb; do
    dpkg-deb --extract "$package" "$deps"
  done
  keep_used_boost "$deps"
  find "$deps" -name 'lib*.a' ! -name 'libg[tm]*' ! -name 'libboost_context.a' -delete
  rm -rf "$deps/packages" "$deps/usr/share/doc"
  say "$(du -sh "$deps" | cut -f1) in build/deps"
}

main "$@"
