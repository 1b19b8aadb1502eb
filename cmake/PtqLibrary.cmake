# ptq_library(<name> SOURCES … [LINKS …]): the static library ptq_<name>, alias ptq::<name>.

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
  ptq_present(arg_SOURCES ${arg_SOURCES})
  add_library(ptq_${name} STATIC ${arg_SOURCES})
  add_library(ptq::${name} ALIAS ptq_${name})
  set_target_properties(ptq_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_include_directories(ptq_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(ptq_${name} PUBLIC ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS}
    $<BUILD_INTERFACE:ptq_flags>)
  set_property(GLOBAL APPEND PROPERTY PTQ_LIBRARIES ptq_${name})
endfunction()
