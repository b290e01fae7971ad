# SPDX-License-Identifier: Apache-2.0
# Warnings as data.  What is on says what it finds; what is off says why.
set(POLLEN_WARNINGS
    -Wall
    -Wextra
    -Wconversion          # a length narrowed without a cast is a bug on the wire
    -Wshadow
    -Wswitch-enum         # a new enum value must be handled at every switch, default or not
    -Wstrict-prototypes
    -Wmissing-prototypes  # every non-static function is declared in its header
    -Wvla                 # stack use must be bounded by the source
    -Wundef
    -Wpointer-arith
    -Wwrite-strings
    -Wformat=2
    # Off:
    -Wno-sign-conversion  # gcc -Wconversion leaves it off in C and clang turns it on; uint8_t and
                          # char arithmetic would drown in casts that hide the real narrowings
    -Wno-missing-field-initializers # designated initialisers zero the rest, and we mean them to
)
if(POLLEN_WERROR)
    list(APPEND POLLEN_WARNINGS -Werror)
endif()

set(POLLEN_HARDEN_COMPILE "")
set(POLLEN_HARDEN_LINK "")
if(POLLEN_HARDEN)
    set(POLLEN_HARDEN_COMPILE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
                              -fstack-clash-protection)
    set(POLLEN_HARDEN_LINK -Wl,-z,relro -Wl,-z,now)
endif()
add_compile_options(${POLLEN_HARDEN_COMPILE})
add_link_options(${POLLEN_HARDEN_LINK})
