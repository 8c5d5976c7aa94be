# The program that engine bpf loads into the kernel: compiled by clang, embedded in memspy. Where
# clang or libbpf is missing there is none, and everything else works.
option(MEMSPY_BPF "Engine bpf, where clang and libbpf are found" ON)
find_program(MEMSPY_CLANG NAMES clang clang-16 clang-15 clang-14)
pkg_check_modules(LIBBPF QUIET IMPORTED_TARGET libbpf>=1.0)
set(MEMSPY_HAS_BPF OFF)
if(MEMSPY_BPF AND MEMSPY_CLANG AND LIBBPF_FOUND)
  set(MEMSPY_HAS_BPF ON)
elseif(MEMSPY_BPF)
  message(STATUS "memspy: no engine bpf (it takes clang and libbpf-dev)")
endif()

# memspy_add_bpf_program(OUT SOURCE HEADERS…): OUT is set to the path of the object file.
function(memspy_add_bpf_program out source)
  get_filename_component(name ${source} NAME_WE)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${MEMSPY_CLANG} -O2 -g -target bpf -Wall -Werror -D__TARGET_ARCH_x86
            -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    DEPENDS ${source} ${ARGN} VERBATIM
    COMMENT "Compiling ${source} for the kernel")
  set(${out} ${object} PARENT_SCOPE)
endfunction()
