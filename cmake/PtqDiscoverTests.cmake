# cmake -DNAME=… -DPROGRAM=… -DLIST=… -DLABELS=… -DFOLDER=… -P PtqDiscoverTests.cmake
#
# Writes the ctest entries of one GoogleTest program to LIST, as PtqTest.cmake describes them.
set(alone "Shared|Slow|IfPossible")

function(add_entry name filter labels skip_property)
  string(CONCAT text
    "add_test(\"${NAME}.${name}\" \"${PROGRAM}\" \"--gtest_filter=${filter}\")\n"
    "set_tests_properties(\"${NAME}.${name}\" PROPERTIES\n"
    "  WORKING_DIRECTORY \"${FOLDER}\" TIMEOUT 900 LABELS \"${labels}\"\n"
    "  ${skip_property} \"\\\\[  SKIPPED \\\\]\")\n")
  file(APPEND ${LIST}.new "${text}")
endfunction()

# A case by itself: its labels follow from its name.
function(add_case case)
  set(labels ${LABELS})
  foreach(label IN ITEMS Shared Slow)
    if(case MATCHES ${label})
      string(TOLOWER ${label} lower)
      list(APPEND labels ${lower})
    endif()
  endforeach()
  add_entry("${case}" "${case}" "${labels}" SKIP_REGULAR_EXPRESSION)
endfunction()

execute_process(COMMAND ${PROGRAM} --gtest_list_tests OUTPUT_VARIABLE output
  RESULT_VARIABLE status ERROR_VARIABLE error)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} --gtest_list_tests: ${status}\n${output}${error}")
endif()
# "Suite.", then two blanks and the case, each with a comment in parametrised tests; a ';' in such a
# comment would end a list element.
string(REGEX REPLACE "[ ]*#[^\n]*" "" output "${output}")
string(REPLACE "\n" ";" lines "${output}")
file(WRITE ${LIST}.new "")
foreach(line IN LISTS lines)
  if(line MATCHES "^([^ ]+)\\.$")
    set(suite ${CMAKE_MATCH_1})
    set(grouped FALSE)
  elseif(line MATCHES "^  ([^ ]+)$")
    set(case ${suite}.${CMAKE_MATCH_1})
    if(case MATCHES "${alone}")
      add_case(${case})
    elseif(NOT grouped)
      set(grouped TRUE)
      string(REPLACE "|" "*:*" without "*${alone}*")
      add_entry("${suite}" "${suite}.*-${without}" "${LABELS}" FAIL_REGULAR_EXPRESSION)
    endif()
  endif()
endforeach()
file(RENAME ${LIST}.new ${LIST})
