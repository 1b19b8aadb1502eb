# ptq_library(<name> SOURCES … [LINKS …]): the static library ptq_<name>, alias ptq::<name>.

add_library(ptq_flags INTERFACE)
target_compile_options(ptq_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  $<$<BOOL:${PTQ_WERROR}>:-Werror>)
if(PTQ_SANITIZE)
  target_compile_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE})
endif()

# One precompiled header for all targets: with sanitizers ATen/ATen.h alone costs 20 s a file.  Not
# the default, since it hides a missing #include.
if(PTQ_PCH)
  # A precompiled header fits only where every flag and every macro it saw are the same; elsewhere
  # the headers are read as usual.
  target_link_libraries(ptq_flags INTERFACE ptq::torch)
  target_compile_definitions(ptq_flags INTERFACE GTEST_HAS_PTHREAD=1)
  target_compile_options(ptq_flags INTERFACE -fpch-preprocess -Wno-error=invalid-pch)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pch.cpp CONTENT "namespace {}\n")
  add_library(ptq_pch STATIC ${PROJECT_BINARY_DIR}/pch.cpp)
  set_target_properties(ptq_pch PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(ptq_pch PRIVATE ptq_flags $<TARGET_NAME_IF_EXISTS:GTest::gmock>)
  target_precompile_headers(ptq_pch PRIVATE
    <ATen/ATen.h> <nlohmann/json.hpp> $<$<BOOL:${PTQ_TESTS}>:<gmock/gmock.h$<ANGLE-R>>)
endif()

# ptq_use_pch(<target>): no-op without PTQ_PCH.  Call it after set_source_files_properties.
function(ptq_use_pch target)
  if(NOT PTQ_PCH)
    return()
  endif()
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
  ptq_use_pch(ptq_${name})
  set_property(GLOBAL APPEND PROPERTY PTQ_LIBRARIES ptq_${name})
endfunction()

# ptq_regex_sources(FILES…): sources with std::regex, which GCC 12 under the sanitizers takes for uninitialized.
function(ptq_regex_sources)
  if(PTQ_SANITIZE)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -Wno-maybe-uninitialized)
  endif()
endfunction()
