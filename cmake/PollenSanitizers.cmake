# SPDX-License-Identifier: Apache-2.0
# Sanitizers and coverage hold for everything that is compiled here, tests included.
if(POLLEN_SANITIZE)
    list(JOIN POLLEN_SANITIZE "," sanitize)
    add_compile_options(-fsanitize=${sanitize} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${sanitize})
endif()

if(POLLEN_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "POLLEN_FUZZ needs clang: use the preset fuzz")
    endif()
    # Coverage feedback in every object; only the fuzzers themselves link libFuzzer's main.
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(POLLEN_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
endif()

# What a test runs under: a finding must end the test, and show where.
set(POLLEN_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
