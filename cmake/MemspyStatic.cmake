# memspy_add_static_program(NAME FROM): the program FROM once more, linked statically from the same
# objects: seconds, where a build of its own would take minutes. It needs no file but itself.

include(CheckLinkerFlag)
# glibc's own parts warn of dlopen wherever they are linked; nothing here calls it (loads_nothing.cpp).
check_linker_flag(CXX -Wl,--no-warnings MEMSPY_LINKER_NO_WARNINGS)

function(memspy_static_archives out)
  set(archives "")
  set(bpf "")
  if(MEMSPY_HAS_BPF)
    set(bpf bpf)
  endif()
  # In the order of a linker, who needs before what is needed.
  foreach(name ${bpf} dw elf iberty sqlite3 ncursesw tinfo xxhash lzma bz2 z)
    find_library(MEMSPY_ARCHIVE_${name} NAMES lib${name}.a)
    if(NOT MEMSPY_ARCHIVE_${name})
      message(FATAL_ERROR "There is no lib${name}.a to link statically: install it "
                          "(scripts/lib/packages.sh), or configure with -DMEMSPY_STATIC=OFF")
    endif()
    list(APPEND archives ${MEMSPY_ARCHIVE_${name}})
  endforeach()
  set(${out} ${archives} PARENT_SCOPE)
endfunction()

function(memspy_add_static_program name from)
  memspy_static_archives(archives)
  get_property(modules GLOBAL PROPERTY MEMSPY_MODULES)
  set(files "")
  foreach(module ${modules})
    list(APPEND files $<TARGET_FILE:${module}>)
  endforeach()
  add_executable(${name} $<TARGET_OBJECTS:${from}>
    ${PROJECT_SOURCE_DIR}/cmake/static/spdlog_and_fmt.cpp ${PROJECT_SOURCE_DIR}/cmake/static/loads_nothing.cpp)
  add_dependencies(${name} ${modules})
  target_link_libraries(${name} PRIVATE -Wl,--start-group ${files} -Wl,--end-group ${archives})
  target_link_options(${name} PRIVATE -static -s
                      $<$<BOOL:${MEMSPY_LINKER_NO_WARNINGS}>:-Wl,--no-warnings>)
  set_target_properties(${name} PROPERTIES
    OUTPUT_NAME ${from} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/static
    # The archives have no interface that CMake could follow.
    LINK_DEPENDS "${files}")
endfunction()
