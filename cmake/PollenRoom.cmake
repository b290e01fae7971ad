# SPDX-License-Identifier: Apache-2.0
# pollen_room(<room>
#     SOURCES ...        one file a line, alphabetical
#     LIBRARIES ...      the foreign libraries of this room; design: each has one room
#     DEFINITIONS ...    compile definitions beyond the common ones
#     SYSTEM)            the room may use the system (src/run): _GNU_SOURCE
#
# Makes the OBJECT library pollen_<room>.  Includes are written from the roots: "base/time.h",
# <pollen/err.h>.  A room without sources is skipped.
define_property(GLOBAL PROPERTY POLLEN_CORE_ROOMS BRIEF_DOCS "Pure rooms with sources"
                FULL_DOCS "Their objects make up pollen_core")
define_property(GLOBAL PROPERTY POLLEN_SYSTEM_ROOMS BRIEF_DOCS "Rooms with system calls"
                FULL_DOCS "Their objects are in pollen but not in pollen_core")

# The flags every target of ours is compiled with.
add_library(pollen_flags INTERFACE)
target_compile_options(pollen_flags INTERFACE ${POLLEN_WARNINGS})
target_include_directories(pollen_flags INTERFACE
    "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
target_include_directories(pollen_flags SYSTEM INTERFACE "${UTHASH_INCLUDE_DIR}")
target_compile_definitions(pollen_flags INTERFACE
    PLN_VERSION="${PROJECT_VERSION}" PLN_CHECK_THREADS=$<BOOL:${POLLEN_CHECK_THREADS}>)

function(pollen_room room)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SYSTEM" "" "SOURCES;LIBRARIES;DEFINITIONS")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "pollen_room(${room}): unknown ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT arg_SOURCES)
        return()
    endif()
    add_library(pollen_${room} OBJECT ${arg_SOURCES})
    target_link_libraries(pollen_${room} PRIVATE pollen_flags ${arg_LIBRARIES})
    target_compile_definitions(pollen_${room} PRIVATE ${arg_DEFINITIONS})
    if(arg_SYSTEM)
        target_compile_definitions(pollen_${room} PRIVATE _GNU_SOURCE)
        set_property(GLOBAL APPEND PROPERTY POLLEN_SYSTEM_ROOMS pollen_${room})
    else()
        target_compile_definitions(pollen_${room} PRIVATE _POSIX_C_SOURCE=200809L)
        set_property(GLOBAL APPEND PROPERTY POLLEN_CORE_ROOMS pollen_${room})
    endif()
endfunction()
