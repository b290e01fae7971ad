# SPDX-License-Identifier: Apache-2.0
# Tests that look at the sources or at the build rather than run it.
