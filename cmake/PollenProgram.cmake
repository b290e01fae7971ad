# SPDX-License-Identifier: Apache-2.0
# pollen_program(<name> SOURCES ... [LIBRARIES ...]): an executable over pollen_testing, with the
# system's interfaces.  cmd/pln uses it, and so may tools of tests, sim and bench.  A program
# without sources is skipped.
function(pollen_program name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
    if(NOT arg_SOURCES)
        return()
    endif()
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE pollen_testing ${arg_LIBRARIES})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/cmd")
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
endfunction()
