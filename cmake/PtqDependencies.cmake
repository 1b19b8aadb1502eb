# Third-party packages.  LibTorch is looked for in this order: Torch_DIR / CMAKE_PREFIX_PATH, the Python wheel,
# the distribution's libtorch-dev.  Only torch_cpu and c10 are linked, so that a wheel built for CUDA works for CPU
# use on a machine without the CUDA toolkit.
find_package(LibTorch REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(spdlog REQUIRED)
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
if(PTQ_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
