# ptq_library(<name> SOURCES … [LINKS …]): the static library ptq_<name>, alias ptq::<name>.
# ptq_test(<name> SOURCES … [LINKS …] [LABELS …]): one test executable of a library.

add_library(ptq_flags INTERFACE)
target_compile_options(ptq_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  $<$<BOOL:${PTQ_WERROR}>:-Werror>)
if(PTQ_SANITIZE)
  target_compile_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE})
endif()

function(ptq_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(ptq_${name} STATIC ${arg_SOURCES})
  add_library(ptq::${name} ALIAS ptq_${name})
  set_target_properties(ptq_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_include_directories(ptq_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(ptq_${name} PUBLIC ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS}
    $<BUILD_INTERFACE:ptq_flags>)
  set_property(GLOBAL APPEND PROPERTY PTQ_LIBRARIES ptq_${name})
endfunction()

function(ptq_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;LABELS" ${ARGN})
  add_executable(${name}_test ${arg_SOURCES})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE PTQ_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name}_test PRIVATE ${arg_LINKS} ptq_flags GTest::gmock GTest::gtest_main)
  # One ctest entry per test case, so that a skipped case shows as skipped.  A case whose name holds
  # "Shared" reads ../shared/data and carries the label `shared`; "Slow" likewise.
  gtest_discover_tests(${name}_test TEST_FILTER "-*Shared*:*Slow*" DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${arg_LABELS}")
  gtest_discover_tests(${name}_test TEST_FILTER "*Shared*" TEST_SUFFIX "" DISCOVERY_TIMEOUT 60
    TEST_LIST ${name}_shared_tests PROPERTIES LABELS "shared;${arg_LABELS}")
  gtest_discover_tests(${name}_test TEST_FILTER "*Slow*-*Shared*" DISCOVERY_TIMEOUT 60
    TEST_LIST ${name}_slow_tests PROPERTIES LABELS "slow;${arg_LABELS}")
endfunction()
