# SPDX-License-Identifier: Apache-2.0
# What is installed: both libraries, the public headers, pollen.pc, the CMake package, the command
# with its man page and its systemd unit.  tests/install proves that it can be used from there.
include(CMakePackageConfigHelpers)

set(POLLEN_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/pollen")

install(TARGETS pollen EXPORT pollenTargets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS pollen_static EXPORT pollenStaticTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT pollenTargets NAMESPACE pollen:: DESTINATION "${POLLEN_CMAKE_DIR}")
install(EXPORT pollenStaticTargets NAMESPACE pollen:: DESTINATION "${POLLEN_CMAKE_DIR}")
install(DIRECTORY include/pollen DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.h")

configure_package_config_file(packaging/pollenConfig.cmake.in
    "${PROJECT_BINARY_DIR}/packaging/pollenConfig.cmake"
    INSTALL_DESTINATION "${POLLEN_CMAKE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/packaging/pollenConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion) # before 1.0 a minor version may break
install(FILES "${PROJECT_BINARY_DIR}/packaging/pollenConfig.cmake"
              "${PROJECT_BINARY_DIR}/packaging/pollenConfigVersion.cmake"
    DESTINATION "${POLLEN_CMAKE_DIR}")

# Relative to where the file lies, so that `cmake --install --prefix` needs no second configuration.
file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" up "${up}")
set(POLLEN_PC_PREFIX "\${pcfiledir}/${up}")
configure_file(packaging/pollen.pc.in "${PROJECT_BINARY_DIR}/packaging/pollen.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/packaging/pollen.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

configure_file(packaging/pln.service.in "${PROJECT_BINARY_DIR}/packaging/pln.service" @ONLY)
set(pln_excluded ON)
if(TARGET pln)
    get_target_property(pln_excluded pln EXCLUDE_FROM_ALL)
endif()
if(NOT pln_excluded)
    install(TARGETS pln RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    # Below the prefix, not in /lib: the unit names the command by its installed path.  It is written
    # anew for that, since only the installation knows the prefix of `cmake --install --prefix`;
    # DESTDIR is no part of it.
    set(unit "${PROJECT_BINARY_DIR}/packaging/installed/pln.service")
    install(CODE "
        get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
        get_filename_component(CMAKE_INSTALL_FULL_BINDIR
            \"${CMAKE_INSTALL_BINDIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
        configure_file(\"${PROJECT_SOURCE_DIR}/packaging/pln.service.in\" \"${unit}\" @ONLY)")
    install(FILES "${unit}" DESTINATION "lib/systemd/system")

    set(man "${PROJECT_BINARY_DIR}/packaging/pln.1")
    add_custom_command(
        OUTPUT "${man}"
        COMMAND "${PROJECT_SOURCE_DIR}/packaging/man" $<TARGET_FILE:pln>
                "${PROJECT_SOURCE_DIR}/packaging/pln.1.in" ${PROJECT_VERSION} > "${man}"
        DEPENDS pln packaging/man packaging/pln.1.in
        COMMENT "Writing the man page from the command's help"
        VERBATIM)
    add_custom_target(pln_man ALL DEPENDS "${man}")
    install(FILES "${man}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
endif()
