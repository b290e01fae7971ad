# SPDX-License-Identifier: Apache-2.0
# The libraries made of the rooms' objects:
#   pollen_core     static, the pure rooms only; tests/purity looks at it
#   pollen          shared, exports only what cmake/pollen.map names; pollen_static beside it
#   pollen_testing  what tests, fuzzers, benchmarks, simulator and command link: the static library
#                   with the internal headers
get_property(core_rooms GLOBAL PROPERTY POLLEN_CORE_ROOMS)
get_property(system_rooms GLOBAL PROPERTY POLLEN_SYSTEM_ROOMS)

set(POLLEN_LIBRARIES
    PkgConfig::NGTCP2_GNUTLS PkgConfig::NGTCP2 PkgConfig::GNUTLS PkgConfig::SODIUM
    PkgConfig::JANSSON PkgConfig::YAML Threads::Threads)

set(core_objects "")
foreach(room IN LISTS core_rooms)
    list(APPEND core_objects $<TARGET_OBJECTS:${room}>)
endforeach()
set(system_objects "")
foreach(room IN LISTS system_rooms)
    list(APPEND system_objects $<TARGET_OBJECTS:${room}>)
endforeach()

add_library(pollen_testing INTERFACE)
target_link_libraries(pollen_testing INTERFACE pollen_flags)
if(NOT core_objects)
    return()
endif()

add_library(pollen_core STATIC ${core_objects})
set_target_properties(pollen_core PROPERTIES LINKER_LANGUAGE C)

add_library(pollen_static STATIC ${core_objects} ${system_objects})
add_library(pollen SHARED ${core_objects} ${system_objects})
set(map "${PROJECT_SOURCE_DIR}/cmake/pollen.map")
set_target_properties(pollen PROPERTIES
    LINKER_LANGUAGE C
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS "${map}")
set_target_properties(pollen_static PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME pollen)
target_link_options(pollen PRIVATE "LINKER:--version-script=${map}")
if(NOT POLLEN_SANITIZE)
    # Sanitizer runtimes are resolved by the executable, so there the library has open symbols.
    target_link_options(pollen PRIVATE "LINKER:--no-undefined")
endif()
foreach(target IN ITEMS pollen pollen_static)
    target_include_directories(${target} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${target} PRIVATE ${POLLEN_LIBRARIES})
endforeach()

target_link_libraries(pollen_testing INTERFACE pollen_static)
