# The inputs are made, not checked in: a change of the format changes them too.
add_executable(make_snapshots make_snapshots.cpp)
target_link_libraries(make_snapshots PRIVATE memspy_options memspy_snapshot)
set(snapshot_inputs ${CMAKE_CURRENT_BINARY_DIR}/snapshots)
file(MAKE_DIRECTORY ${snapshot_inputs})
add_custom_command(
  OUTPUT ${snapshot_inputs}/stamp
  COMMAND make_snapshots ${snapshot_inputs}
  COMMAND ${CMAKE_COMMAND} -E touch ${snapshot_inputs}/stamp
  DEPENDS make_snapshots
  COMMENT "Writing snapshots for the fuzzer")
add_custom_target(fuzz_snapshots ALL DEPENDS ${snapshot_inputs}/stamp)
memspy_add_fuzz(snapshot_fuzz LINKS memspy_snapshot
  SEEDS ${snapshot_inputs}/plain.memsnap ${snapshot_inputs}/values.memsnap
  DEPENDS fuzz_snapshots MUTATIONS 5000)
