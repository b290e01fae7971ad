# SPDX-License-Identifier: Apache-2.0
# Helpers for the test directories.  The directory's name is part of the test's name and one of its
# labels.  A test of which some label is in POLLEN_SKIP_LABELS is neither built nor registered:
#   unit prop sim net interop fuzz   by directory
#   slow      runs only in preset dev
#   nosan     not under any sanitizer           notsan   not under ThreadSanitizer
#   static    looks at the sources or the build, so that one preset is enough
set(POLLEN_TEST_SKIPPED 77)

# Sets <out> to ON when one of the labels is to be skipped.
function(pollen_test_skipped out)
    set(${out} OFF PARENT_SCOPE)
    foreach(label IN LISTS ARGN)
        if(label IN_LIST POLLEN_SKIP_LABELS)
            set(${out} ON PARENT_SCOPE)
        endif()
    endforeach()
endfunction()

# pollen_test(<name> [SOURCES ...] [LABELS ...] [LIBRARIES ...] [TIMEOUT <s>] [SERIAL])
# Builds test_<name>.c of the current directory (and SOURCES) against pollen_testing and cmocka,
# and registers it as <directory>_<name>.
function(pollen_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "SOURCES;LABELS;LIBRARIES")
    get_filename_component(directory "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    pollen_test_skipped(skip ${directory} ${arg_LABELS})
    if(skip)
        return()
    endif()
    set(target test_${directory}_${name})
    add_executable(${target} test_${name}.c ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE pollen_testing ${arg_LIBRARIES} PkgConfig::CMOCKA)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE
        POLLEN_TEST_VECTORS="${PROJECT_SOURCE_DIR}/tests/vectors")
    pollen_register_test(${directory}_${name} $<TARGET_FILE:${target}> "${arg_TIMEOUT}"
                         "${arg_SERIAL}" ${directory} ${arg_LABELS})
endfunction()

# pollen_script_test(<name> COMMAND ... [LABELS ...] [TIMEOUT <s>] [SERIAL])
# Registers a command as <name>; exit status 77 means skipped.  The directory is a label, as above.
function(pollen_script_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "COMMAND;LABELS")
    set(labels ${arg_LABELS})
    if(NOT CMAKE_CURRENT_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
        get_filename_component(directory "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
        list(PREPEND labels ${directory})
    endif()
    pollen_test_skipped(skip ${labels})
    if(skip)
        return()
    endif()
    pollen_register_test(${name} "${arg_COMMAND}" "${arg_TIMEOUT}" "${arg_SERIAL}" ${labels})
endfunction()

function(pollen_register_test name command timeout serial)
    # What hangs has to end, on a machine however slow or busy; nothing is measured by it.
    if(NOT timeout OR timeout LESS 300)
        set(timeout 300)
    endif()
    add_test(NAME ${name} COMMAND ${command})
    set_tests_properties(${name} PROPERTIES
        LABELS "${ARGN}"
        TIMEOUT ${timeout}
        SKIP_RETURN_CODE ${POLLEN_TEST_SKIPPED}
        ENVIRONMENT "${POLLEN_TEST_ENVIRONMENT}")
    if(serial)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()

# pollen_fuzz(<name> [SOURCES ...] [LABELS ...])
# fuzz_<name>.c defines LLVMFuzzerTestOneInput.  In preset fuzz it becomes a fuzzer; in every other
# one the test fuzz_<name> replays corpus/<name>.
function(pollen_fuzz name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LABELS")
    set(labels fuzz ${arg_LABELS})
    pollen_test_skipped(skip ${labels})
    if(skip)
        return()
    endif()
    set(target fuzz_${name})
    set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name}")
    add_executable(${target} fuzz_${name}.c ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE pollen_testing)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    if(POLLEN_FUZZ)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        # LibFuzzer's own exit status for a finding is 77, which would pass for skipped.
        pollen_register_test(fuzz_${name} "${target};-error_exitcode=1;-runs=0;${corpus}" 300 ""
                             ${labels})
    else()
        target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/fuzz/replay_main.c")
        pollen_register_test(fuzz_${name} "${target};${corpus}" 120 "" ${labels})
    endif()
endfunction()
