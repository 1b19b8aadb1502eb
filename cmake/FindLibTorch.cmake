# find_package(LibTorch): the imported target ptq::torch with torch_cpu and c10, and LibTorch_VERSION.
#
# TorchConfig.cmake of a CUDA wheel insists on a CUDA toolkit, so the headers and the two libraries are found directly.
set(_prefixes ${CMAKE_PREFIX_PATH})
if(Torch_DIR)
  list(PREPEND _prefixes ${Torch_DIR}/../../..)
endif()
if(NOT LibTorch_INCLUDE_DIR)
  find_program(PTQ_PYTHON3 python3)
  if(PTQ_PYTHON3)
    execute_process(
      COMMAND ${PTQ_PYTHON3} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
      OUTPUT_VARIABLE _python_prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(_python_prefix)
      list(APPEND _prefixes ${_python_prefix})
    endif()
  endif()
endif()
find_path(LibTorch_INCLUDE_DIR ATen/core/Tensor.h HINTS ${_prefixes} PATH_SUFFIXES include)
find_path(LibTorch_API_INCLUDE_DIR torch/types.h HINTS ${LibTorch_INCLUDE_DIR} ${_prefixes}
  PATH_SUFFIXES torch/csrc/api/include include/torch/csrc/api/include)
find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS ${_prefixes} PATH_SUFFIXES lib)
find_library(LibTorch_C10_LIBRARY c10 HINTS ${_prefixes} PATH_SUFFIXES lib)
if(LibTorch_API_INCLUDE_DIR AND EXISTS ${LibTorch_API_INCLUDE_DIR}/torch/version.h)
  file(STRINGS ${LibTorch_API_INCLUDE_DIR}/torch/version.h _line REGEX "define TORCH_VERSION \"")
  string(REGEX REPLACE ".*\"([0-9.]+).*" "\\1" LibTorch_VERSION "${_line}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR LibTorch_API_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION)
if(LibTorch_FOUND AND NOT TARGET ptq::torch)
  add_library(ptq::torch INTERFACE IMPORTED)
  target_include_directories(ptq::torch SYSTEM INTERFACE ${LibTorch_INCLUDE_DIR} ${LibTorch_API_INCLUDE_DIR})
  target_link_libraries(ptq::torch INTERFACE ${LibTorch_CPU_LIBRARY} ${LibTorch_C10_LIBRARY})
endif()
