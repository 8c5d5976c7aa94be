# cpack -G DEB: the program, man pages, completions and documentation as one Debian package. With
# MEMSPY_STATIC the program in it is the static one, and the package depends on nothing.
include(GNUInstallDirs)

install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The daemon's, whose example configuration is among the docs. Nothing is enabled.
install(FILES ${PROJECT_SOURCE_DIR}/docs/memspy.service DESTINATION lib/systemd/system)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME memspy)
set(CPACK_PACKAGE_CONTACT "The memspy developers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "which Python lines make a running process grow, from outside")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION debug)
if(NOT MEMSPY_STATIC)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
include(CPack)
