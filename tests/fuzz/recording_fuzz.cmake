# The inputs are made, not checked in: a change of the schema changes them too.
add_executable(make_recordings make_recordings.cpp)
target_link_libraries(make_recordings PRIVATE memspy_options memspy_test_support memspy_recording)
set(recording_inputs ${CMAKE_CURRENT_BINARY_DIR}/recordings)
file(MAKE_DIRECTORY ${recording_inputs})
add_custom_command(
  OUTPUT ${recording_inputs}/stamp
  COMMAND make_recordings ${recording_inputs}
  COMMAND ${CMAKE_COMMAND} -E touch ${recording_inputs}/stamp
  DEPENDS make_recordings
  COMMENT "Writing recordings for the fuzzer")
add_custom_target(fuzz_recordings ALL DEPENDS ${recording_inputs}/stamp)
memspy_add_fuzz(recording_fuzz LINKS memspy_recording
  SEEDS ${recording_inputs}/finished.memspy ${recording_inputs}/unfinished.memspy
        ${recording_inputs}/steady.memspy ${recording_inputs}/alloc.memspy
  DEPENDS fuzz_recordings MUTATIONS 2000)
