# ptq_test(<name> SOURCES … LINKS … [LABELS …]): the test executable <name>_test of a library.
#
# Loading Debian's LibTorch takes half a second a process, so the cases of a suite share one ctest
# entry.  A case whose name holds "Shared" (reads ../shared/data), "Slow" (takes more than 2 s) or
# "IfPossible" (needs what a machine may lack) gets an entry of its own, shows as skipped when it
# skips, and has the label `shared` or `slow`.  Any other case that skips fails: a test must not
# vanish unseen.
function(ptq_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;LABELS" ${ARGN})
  add_executable(${name}_test ${arg_SOURCES})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE PTQ_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name}_test PRIVATE ${arg_LINKS} ptq_flags GTest::gmock GTest::gtest_main)
  ptq_use_pch(${name}_test ptq_test_pch)
  set(list ${CMAKE_CURRENT_BINARY_DIR}/${name}_test_list.cmake)
  add_custom_command(TARGET ${name}_test POST_BUILD
    BYPRODUCTS ${list}
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DPROGRAM=$<TARGET_FILE:${name}_test> -DLIST=${list}
      "-DLABELS=${arg_LABELS}" -DFOLDER=${CMAKE_CURRENT_BINARY_DIR}
      -P ${PROJECT_SOURCE_DIR}/cmake/PtqDiscoverTests.cmake
    VERBATIM)
  set(include ${CMAKE_CURRENT_BINARY_DIR}/${name}_test_include.cmake)
  file(WRITE ${include} "if(EXISTS \"${list}\")\n  include(\"${list}\")\nelse()\n"
    "  add_test(${name}_test_NOT_BUILT ${name}_test_NOT_BUILT)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${include})
endfunction()
