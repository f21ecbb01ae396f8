# FlashCP @VERSION@ for CMake: find_package(flashcp) gives the targets
#   flashcp::flashcp   the C API without its compiler: who runs plans
#   flashcp::compiler  the C API with it: who makes them
#   flashcp::cpp       flashcp.hpp, C++17, over both
get_filename_component(_flashcp_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET flashcp::flashcp)
  add_library(flashcp::flashcp SHARED IMPORTED)
  set_target_properties(flashcp::flashcp PROPERTIES
    IMPORTED_LOCATION "${_flashcp_prefix}/lib/libflashcp.so"
    IMPORTED_SONAME "libflashcp.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_flashcp_prefix}/include")

  add_library(flashcp::compiler SHARED IMPORTED)
  set_target_properties(flashcp::compiler PROPERTIES
    IMPORTED_LOCATION "${_flashcp_prefix}/lib/libflashcp_compiler.so"
    IMPORTED_SONAME "libflashcp_compiler.so"
    INTERFACE_LINK_LIBRARIES flashcp::flashcp)

  add_library(flashcp::cpp INTERFACE IMPORTED)
  set_target_properties(flashcp::cpp PROPERTIES
    INTERFACE_COMPILE_FEATURES cxx_std_17
    INTERFACE_LINK_LIBRARIES "flashcp::compiler;flashcp::flashcp")
endif()

unset(_flashcp_prefix)
