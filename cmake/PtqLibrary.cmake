# ptq_library(<name> SOURCES … [LINKS …]): the static library ptq_<name>, alias ptq::<name>.

add_library(ptq_flags INTERFACE)
target_compile_options(ptq_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  $<$<BOOL:${PTQ_WERROR}>:-Werror>)
if(PTQ_SANITIZE)
  target_compile_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all -Wno-error=maybe-uninitialized)
  target_link_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE})
endif()

# One precompiled header, of what nearly every file includes: ATen/ATen.h alone costs 4 s a file, with
# sanitizers 20 s.  It hides a missing #include, so the libraries use it only with PTQ_PCH=ALL; a test
# is compiled with it wherever it is compiled.
if(PTQ_PCH)
  # A precompiled header fits only where every flag and every macro it saw are the same; elsewhere
  # the headers are read as usual.
  add_library(ptq_pch_flags INTERFACE)
  target_link_libraries(ptq_pch_flags INTERFACE ptq_flags ptq::torch)
  target_compile_definitions(ptq_pch_flags INTERFACE GTEST_HAS_PTHREAD=1)
  target_compile_options(ptq_pch_flags INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess;-Wno-error=invalid-pch>)
  if(PTQ_PCH STREQUAL "TESTS")
    # Half of what is left of a test's compile time; what it tests stays as optimized as it is.
    # Less optimized code is taken for uninitialized where it is not.
    target_compile_options(ptq_pch_flags INTERFACE
      $<$<CONFIG:Release>:-O1;-Wno-error=maybe-uninitialized>)
  endif()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pch.cpp CONTENT "namespace {}\n")
  add_library(ptq_pch STATIC ${PROJECT_BINARY_DIR}/pch.cpp)
  set_target_properties(ptq_pch PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(ptq_pch PRIVATE ptq_pch_flags $<TARGET_NAME_IF_EXISTS:GTest::gmock>)
  target_precompile_headers(ptq_pch PRIVATE
    <ATen/ATen.h> <nlohmann/json.hpp> $<$<BOOL:${PTQ_TESTS}>:<gmock/gmock.h$<ANGLE-R>>)
endif()

# ptq_use_pch(<target>): compiles it with the precompiled header.  Call it after
# set_source_files_properties.
function(ptq_use_pch target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:ptq_pch_flags>)
  # -fPIC for executables too, where CMake would say -fPIE: the header fits one of the two only.
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM ptq_pch)
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
  if(PTQ_PCH STREQUAL "ALL")
    ptq_use_pch(ptq_${name})
  endif()
  set_property(GLOBAL APPEND PROPERTY PTQ_LIBRARIES ptq_${name})
endfunction()

# ptq_regex_sources(FILES…): sources with std::regex, which GCC 12 under the sanitizers takes for uninitialized.
function(ptq_regex_sources)
  if(PTQ_SANITIZE)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -Wno-maybe-uninitialized)
  endif()
endfunction()
