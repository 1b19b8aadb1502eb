# ptq_library(<name> SOURCES … [LINKS …]): the static library ptq_<name>, alias ptq::<name>.

add_library(ptq_flags INTERFACE)
target_compile_options(ptq_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  $<$<BOOL:${PTQ_WERROR}>:-Werror>)
if(PTQ_SANITIZE)
  target_compile_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all -Wno-error=maybe-uninitialized)
  target_link_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE})
endif()

# Precompiled headers of what nearly every file includes, one for libraries and programs and one for
# tests: ATen/ATen.h alone costs 4 s a file, with sanitizers 20 s.  They hide a missing #include: of
# ATen/ATen.h scripts/check_layers.py finds it, of others a build with PTQ_PCH=OFF.
#
# ptq_add_pch(<name> FLAGS … LINKS … HEADERS …): the header that fits what is compiled with FLAGS.
function(ptq_add_pch name)
  cmake_parse_arguments(arg "" "" "FLAGS;LINKS;HEADERS" ${ARGN})
  # It fits only where every flag and every macro it saw are the same; elsewhere the headers are
  # read as usual.
  add_library(${name}_flags INTERFACE)
  # The same nlohmann_json for all: the header's version is part of every name.
  target_link_libraries(${name}_flags INTERFACE ptq_flags nlohmann_json::nlohmann_json ptq::torch)
  target_compile_definitions(${name}_flags INTERFACE GTEST_HAS_PTHREAD=1)
  target_compile_options(${name}_flags INTERFACE ${arg_FLAGS}
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess;-Wno-error=invalid-pch>)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${name}.cpp CONTENT "namespace {}\n")
  add_library(${name} STATIC ${PROJECT_BINARY_DIR}/${name}.cpp)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${name} PRIVATE ${name}_flags ${arg_LINKS})
  target_precompile_headers(${name} PRIVATE <ATen/ATen.h> <nlohmann/json.hpp> ${arg_HEADERS})
endfunction()

if(PTQ_PCH)
  ptq_add_pch(ptq_pch)
  if(PTQ_TESTS)
    # Half of what is left of a test's compile time; what it tests stays as optimized as it is.
    # Less optimized code is taken for uninitialized where it is not.
    ptq_add_pch(ptq_test_pch LINKS GTest::gmock HEADERS <gmock/gmock.h>
      FLAGS $<$<CONFIG:Release>:-O1;-Wno-error=maybe-uninitialized>)
  endif()
endif()

# ptq_use_pch(<target> <precompiled header>): compiles it so, if at all.  Call it after
# set_source_files_properties.
function(ptq_use_pch target pch)
  if(NOT PTQ_PCH)
    return()
  endif()
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${pch}_flags>)
  # -fPIC for executables too, where CMake would say -fPIE: the header fits one of the two only.
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM ${pch})
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    get_source_file_property(options ${source} COMPILE_OPTIONS)
    if(options MATCHES "-march")
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
endfunction()

function(ptq_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(ptq_${name} STATIC ${arg_SOURCES})
  add_library(ptq::${name} ALIAS ptq_${name})
  set_target_properties(ptq_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_include_directories(ptq_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(ptq_${name} PUBLIC ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS}
    $<BUILD_INTERFACE:ptq_flags>)
  ptq_use_pch(ptq_${name} ptq_pch)
  set_property(GLOBAL APPEND PROPERTY PTQ_LIBRARIES ptq_${name})
endfunction()

# ptq_regex_sources(FILES…): sources with std::regex, which GCC 12 under the sanitizers takes for uninitialized.
function(ptq_regex_sources)
  if(PTQ_SANITIZE)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -Wno-maybe-uninitialized)
  endif()
endfunction()
