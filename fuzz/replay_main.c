/* SPDX-License-Identifier: Apache-2.0 */
/* Replays a fuzzer's corpus without libFuzzer: every regular file of the directories given is one
 * input.  With it, each compiler and sanitizer preset runs the inputs that once found something. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Far above what any target takes: a larger file in a corpus is a mistake. */
enum { INPUT_BYTES_MAX = 16 * 1024 * 1024 };

static int replay_file(const char *path, size_t size) {
    if (size > INPUT_BYTES_MAX) {
        fprintf(stderr, "%s: larger than %d bytes\n", path, INPUT_BYTES_MAX);
        return -1;
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    /* Exactly as large as the input, so that AddressSanitizer sees a read one past its end. */
    uint8_t *data = malloc(size > 0 ? size : 1);
    int result = -1;
    if (data != NULL && fread(data, 1, size, file) == size) {
        (void)LLVMFuzzerTestOneInput(data, size); /* Libfuzzer ignores it as well. */
        result = 0;
    } else {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    free(data);
    fclose(file);
    return result;
}

/* Adds to *ret_count what was replayed; -1 when the directory or a file cannot be read. */
static int replay_directory(const char *directory, unsigned *ret_count) {
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        fprintf(stderr, "%s: %s\n", directory, strerror(errno));
        return -1;
    }
    int result = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[4096];
        int length = snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        struct stat status;
        if (length < 0 || (size_t)length >= sizeof(path) || stat(path, &status) != 0) {
            fprintf(stderr, "%s/%s: cannot be read\n", directory, entry->d_name);
            result = -1;
            continue;
        }
        if (!S_ISREG(status.st_mode)) {
            continue;
        }
        if (replay_file(path, (size_t)status.st_size) != 0) {
            result = -1;
            continue;
        }
        *ret_count += 1;
    }
    closedir(dir);
    return result;
}

int main(int argc, char **argv) {
    unsigned count = 0;
    int result = 0;
    for (int i = 1; i < argc; i++) {
        if (replay_directory(argv[i], &count) != 0) {
            result = 1;
        }
    }
    printf("%u inputs replayed\n", count);
    /* A moved or emptied corpus must not pass for a good one. */
    return count == 0 ? 1 : result;
}
