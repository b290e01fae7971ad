# SPDX-License-Identifier: Apache-2.0
# Everything a builder can choose.  The presets set these; nothing else does.
option(POLLEN_TESTS "Build and register the tests, fuzz replays and benchmarks" ON)
option(POLLEN_WERROR "Treat warnings as errors (the CI presets do)" OFF)
option(POLLEN_HARDEN "Fortify, stack protection, full RELRO" OFF)
option(POLLEN_FUZZ "Build libFuzzer binaries instead of corpus replays (needs clang)" OFF)
option(POLLEN_COVERAGE "Compile with gcov counters" OFF)
option(POLLEN_CHECK_THREADS "Assert in loop-only functions that the loop thread runs them" OFF)
set(POLLEN_SANITIZE "" CACHE STRING "Sanitizers, as a list: address, undefined, thread")
set(POLLEN_SKIP_LABELS "" CACHE STRING
    "Tests with one of these labels are neither built nor registered")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# No -DNDEBUG anywhere: PLN_ASSERT does not look at it, and a plain assert() in a test must not
# silently vanish either.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Adds dir when it has a CMakeLists.txt: rooms that are still empty need no placeholder.
function(pollen_add_optional_directory dir)
    if(EXISTS "${PROJECT_SOURCE_DIR}/${dir}/CMakeLists.txt")
        add_subdirectory("${dir}")
    endif()
endfunction()
