# ptq_plugins(<kind> <Interface> <header> <accessor> PLUGINS name… [SOURCES …] [LINKS …] [PRIVATE_LINKS …])
#
# One name per plug-in.  The name is at once the config name, the source file, the factory and the test:
#   gptq  ->  gptq.cpp  defining  std::unique_ptr<Interface> ptq::<kind>::gptq(Options&)
#             tests/<folder>/gptq_test.cpp
# A name with dashes ("compressed-tensors") maps to the file and factory with underscores.
function(ptq_plugins kind interface header accessor)
  cmake_parse_arguments(arg "" "" "PLUGINS;SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  string(REPLACE "/" "_" library ${folder})
  set(declarations "")
  set(rows "")
  set(sources "")
  foreach(name IN LISTS arg_PLUGINS)
    string(REPLACE "-" "_" file ${name})
    set(test ${PROJECT_SOURCE_DIR}/tests/${folder}/${file}_test.cpp)
    if(PTQ_TESTS AND NOT EXISTS ${test})
      message(FATAL_ERROR "${kind} ${name} has no test: ${test}")
    endif()
    list(APPEND sources ${file}.cpp)
    string(APPEND declarations "std::unique_ptr<${interface}> ${file}(Options&);\n")
    string(APPEND rows "      {\"${name}\", ${kind}::${file}},\n")
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/registry.cpp.in ${CMAKE_CURRENT_BINARY_DIR}/registry.cpp @ONLY)
  ptq_library(${library} SOURCES ${sources} ${arg_SOURCES} ${CMAKE_CURRENT_BINARY_DIR}/registry.cpp
    LINKS ${arg_LINKS} PRIVATE_LINKS ${arg_PRIVATE_LINKS})
endfunction()
