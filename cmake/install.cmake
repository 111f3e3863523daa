# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: program, libraries, headers, CMake package, pkg-config file, man page, recipes.
include(CMakePackageConfigHelpers)

set(origin "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS genet_shared EXPORT genetTargets)
install(TARGETS genet_static EXPORT genetStaticTargets)
install(DIRECTORY include/genet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS genet)
# The man page comes from the same table of options as --help.
add_custom_command(OUTPUT genet.1 COMMAND genet help --man > genet.1 DEPENDS genet VERBATIM)
add_custom_target(man ALL DEPENDS genet.1)
install(FILES ${PROJECT_BINARY_DIR}/genet.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/genet FILES_MATCHING PATTERN "*.yaml")
install(DIRECTORY scripts DESTINATION ${CMAKE_INSTALL_DATADIR}/genet USE_SOURCE_PERMISSIONS)

# A oneDNN that is not the system's goes along in <lib>/genet, where libgenet.so and the program look for it.
set(GENET_PC_ONEDNN "")
if(GENET_CPU AND GENET_ONEDNN_BUNDLED)
  file(REAL_PATH ${GENET_ONEDNN_LIBRARY} real)
  file(GLOB onednn_files ${real} ${GENET_ONEDNN_LIBRARY} ${GENET_ONEDNN_LIBRARY}.*)
  install(FILES ${onednn_files} DESTINATION ${CMAKE_INSTALL_LIBDIR}/genet)
  set_target_properties(genet_shared PROPERTIES INSTALL_RPATH "$ORIGIN/genet")
  set_target_properties(genet PROPERTIES INSTALL_RPATH "${origin}/genet")
  set(GENET_PC_ONEDNN "-L\${libdir}/genet -Wl,-rpath,\${libdir}/genet -ldnnl")
elseif(GENET_CPU)
  set(GENET_PC_ONEDNN "-ldnnl")
endif()

file(RELATIVE_PATH GENET_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p) # found from where the file lies: relocatable
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/genet)
configure_file(cmake/genet.pc.in genet.pc @ONLY)
configure_package_config_file(cmake/genetConfig.cmake.in genetConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(genetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/genet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_BINARY_DIR}/genetConfig.cmake ${PROJECT_BINARY_DIR}/genetConfigVersion.cmake
        DESTINATION ${package_dir})
install(EXPORT genetTargets NAMESPACE genet:: DESTINATION ${package_dir})
install(EXPORT genetStaticTargets NAMESPACE genet:: DESTINATION ${package_dir})
