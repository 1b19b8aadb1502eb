# cmake --install: the program (tools/ptq), the libraries, the headers, and the package `ptq` for C++ users:
# find_package(ptq) gives ptq::<library> for each library and ptq::ptq for all of them.
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY PTQ_LIBRARIES)
add_library(ptq_all INTERFACE)
add_library(ptq::ptq ALIAS ptq_all)
set_target_properties(ptq_all PROPERTIES EXPORT_NAME ptq)
target_link_libraries(ptq_all INTERFACE ${libraries})
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ptq)

install(TARGETS ${libraries} ptq_all EXPORT ptq-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ptq DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT ptq-targets NAMESPACE ptq:: DESTINATION ${package_dir})

# The headers of one LibTorch do not fit the libraries built with another, so the package asks for
# the version of the build, first where the build found it.
get_filename_component(PTQ_LIBTORCH_ROOT ${LibTorch_INCLUDE_DIR} DIRECTORY)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ptqConfig.cmake.in
  ${PROJECT_BINARY_DIR}/ptqConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ptqConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/ptqConfig.cmake ${PROJECT_BINARY_DIR}/ptqConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindLibTorch.cmake ${PROJECT_SOURCE_DIR}/cmake/PtqDependencies.cmake
  DESTINATION ${package_dir})
