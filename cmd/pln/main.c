/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/cli.h"

int main(int argc, char **argv) {
    return pln_cli_main(argc, argv);
}
