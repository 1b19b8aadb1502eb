# find_package(LibTorch): the imported target ptq::torch (torch_cpu, c10 and OpenMP, without which
# at::parallel_for of the headers runs in one thread) and LibTorch_VERSION.
#
# TorchConfig.cmake of a CUDA wheel insists on a CUDA toolkit, so headers and libraries are found
# directly.  Places, first match wins, headers and libraries always from the same one:
#   1. Torch_DIR, LibTorch_ROOT, CMAKE_PREFIX_PATH   2. the torch package of python3, of .venv/
#   3. the distribution (libtorch-dev)
include(FindPackageHandleStandardArgs)

# The roots a user's path may mean: itself, or for …/share/cmake[/Torch] what lies above it.
function(_libtorch_roots result)
  set(roots "")
  foreach(path IN LISTS ARGN)
    string(REGEX REPLACE "/(share|lib|lib/[^/]+)/cmake(/Torch)?/*$" "" root "${path}")
    list(APPEND roots ${root})
  endforeach()
  set(${result} ${roots} PARENT_SCOPE)
endfunction()

# The package folder of `torch` as an interpreter would import it, without the cost of importing.
function(_libtorch_of_python result python)
  execute_process(
    COMMAND ${python} -c
      "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${result} ${folder} PARENT_SCOPE)
endfunction()

set(_libtorch_places ${Torch_DIR} ${LibTorch_ROOT} ${CMAKE_PREFIX_PATH})
if(NOT LibTorch_INCLUDE_DIR)
  find_program(PTQ_PYTHON3 python3)
  foreach(_libtorch_python IN ITEMS ${PTQ_PYTHON3} ${PROJECT_SOURCE_DIR}/.venv/bin/python3)
    if(EXISTS ${_libtorch_python})
      _libtorch_of_python(_libtorch_folder ${_libtorch_python})
      list(APPEND _libtorch_places ${_libtorch_folder})
    endif()
  endforeach()
endif()
_libtorch_roots(_libtorch_places ${_libtorch_places})
foreach(_libtorch_place IN LISTS _libtorch_places)
  if(NOT LibTorch_INCLUDE_DIR AND EXISTS ${_libtorch_place}/include/ATen/core/Tensor.h)
    set(LibTorch_INCLUDE_DIR ${_libtorch_place}/include CACHE PATH "Folder that holds ATen/")
    find_library(LibTorch_CPU_LIBRARY torch_cpu
      PATHS ${_libtorch_place} PATH_SUFFIXES lib NO_DEFAULT_PATH)
    find_library(LibTorch_C10_LIBRARY c10
      PATHS ${_libtorch_place} PATH_SUFFIXES lib NO_DEFAULT_PATH)
  endif()
endforeach()
find_path(LibTorch_INCLUDE_DIR ATen/core/Tensor.h)
find_library(LibTorch_CPU_LIBRARY torch_cpu)
find_library(LibTorch_C10_LIBRARY c10)
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY PTQ_PYTHON3)

foreach(_libtorch_header IN ITEMS torch/headeronly/version.h
        torch/csrc/api/include/torch/version.h)
  if(NOT LibTorch_VERSION AND EXISTS ${LibTorch_INCLUDE_DIR}/${_libtorch_header})
    # The string stands on the line of the macro's name in old releases, on the next in new ones.
    file(READ ${LibTorch_INCLUDE_DIR}/${_libtorch_header} _libtorch_text)
    if(_libtorch_text MATCHES "TORCH_VERSION[ \\\n]+\"([0-9.]+)")
      set(LibTorch_VERSION ${CMAKE_MATCH_1})
    endif()
  endif()
endforeach()

# Wheels before 2.7 came with the C++ ABI of gcc 4; linking one ends in undefined symbols and no
# reason given.
if(LibTorch_C10_LIBRARY)
  file(STRINGS ${LibTorch_C10_LIBRARY} _libtorch_symbols LIMIT_COUNT 1
    REGEX "_ZN3c105ErrorC[12]ENS_14SourceLocationENSt7__cxx11")
  if(NOT _libtorch_symbols)
    message(FATAL_ERROR "${LibTorch_C10_LIBRARY} was built with the old C++ ABI "
      "(_GLIBCXX_USE_CXX11_ABI=0), as Python wheels before 2.7 were: use torch 2.7 or later, or "
      "libtorch-dev")
  endif()
endif()
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup.sh, or install libtorch-dev, or set Torch_DIR")

# A wheel brings fmt, nlohmann, protobuf and more in the same folder, in versions of its own that
# would hide the distribution's; only the four folders of LibTorch itself may be seen.
function(_libtorch_include_folder result)
  if(LibTorch_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    set(${result} ${LibTorch_INCLUDE_DIR} PARENT_SCOPE)
    return()
  endif()
  set(folder ${CMAKE_BINARY_DIR}/libtorch-include)
  file(MAKE_DIRECTORY ${folder})
  foreach(part IN ITEMS ATen c10 caffe2 torch)
    if(EXISTS ${LibTorch_INCLUDE_DIR}/${part})
      file(CREATE_LINK ${LibTorch_INCLUDE_DIR}/${part} ${folder}/${part} SYMBOLIC)
    endif()
  endforeach()
  set(${result} ${folder} PARENT_SCOPE)
endfunction()

# libtorch_cpu.so of a CUDA wheel needs libcudart and libcupti, which pip puts into
# site-packages/nvidia/<part>/lib; the linker must be able to see them.
function(_libtorch_cuda_folders result)
  get_filename_component(lib ${LibTorch_CPU_LIBRARY} DIRECTORY)
  set(folders "")
  if(EXISTS ${lib}/libc10_cuda.so)
    file(GLOB found ${lib}/../../nvidia/*/lib/libcudart.so.* ${lib}/../../nvidia/*/lib/libcupti.so.*)
    foreach(file IN LISTS found)
      get_filename_component(folder ${file} DIRECTORY)
      get_filename_component(folder ${folder} ABSOLUTE)
      list(APPEND folders ${folder})
    endforeach()
    list(REMOVE_DUPLICATES folders)
    if(NOT folders)
      message(STATUS "LibTorch in ${lib} was built for CUDA, and no libcudart and libcupti lie beside "
        "it: if linking fails, pip install nvidia-cuda-runtime nvidia-cuda-cupti (or their -cu12 "
        "variants) into the same environment")
    endif()
  endif()
  set(${result} ${folders} PARENT_SCOPE)
endfunction()

# A wheel has its own libgomp.  Linking that one keeps a single OpenMP runtime in the process: with
# two, each has its thread pool and they get in each other's way.
function(_libtorch_share_openmp)
  get_filename_component(lib ${LibTorch_CPU_LIBRARY} DIRECTORY)
  file(GLOB gomp ${lib}/libgomp*.so*)
  if(gomp AND NOT lib IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    list(GET gomp 0 gomp)
    set(OpenMP_gomp_LIBRARY ${gomp} CACHE FILEPATH "The OpenMP runtime that LibTorch brings")
  endif()
endfunction()

if(LibTorch_FOUND AND NOT TARGET ptq::torch)
  _libtorch_share_openmp()
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  _libtorch_include_folder(_libtorch_include)
  _libtorch_cuda_folders(_libtorch_folders)
  add_library(ptq::torch INTERFACE IMPORTED)
  target_include_directories(ptq::torch SYSTEM INTERFACE
    ${_libtorch_include} ${_libtorch_include}/torch/csrc/api/include)
  target_link_libraries(ptq::torch INTERFACE ${LibTorch_CPU_LIBRARY} ${LibTorch_C10_LIBRARY}
    OpenMP::OpenMP_CXX)
  foreach(_libtorch_folder IN LISTS _libtorch_folders)
    target_link_options(ptq::torch INTERFACE "LINKER:-rpath-link,${_libtorch_folder}")
  endforeach()
endif()
