/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipe between two machines.  Without a daemon each side is a node in memory: the listener makes
 * a cluster for this one pipe and puts its root seed into the ticket, by which the other side
 * admits itself.  With --port the stream runs through the daemon of --dir, between members of its
 * cluster.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pln/pipe_channel.h"
#include "pln/secret.h"
#include "pln/stopper.h"
#include "pln/verbs.h"
#include "run/last_error.h"

#define CONNECT_TIMEOUT_MS 30000

static const pln_opt listen_opts[] = {
    {"keep", 0, NULL, "one connection after the other; input from a file goes to each"},
    {"loopback", 0, NULL, "also offer the loopback address, for this machine alone"},
    {"ips", 0, "A,B", "offer these addresses instead of the interfaces'"},
    {"udp-port", 0, "N", "UDP port to listen on (default: any)"},
    {"port", 0, "N", "through the running node of --dir, at this stream port; no ticket"},
    {"timeout", 0, "TIME", "how long to wait for the other side (default: for ever)"},
    {0},
};

static const pln_opt connect_opts[] = {
    {"port", 0, "N", "through the running node of --dir, to this stream port of a peer"},
    {"timeout", 0, "TIME", "how long to wait for the other side (default: 30s)"},
    {0},
};

/* Output goes to a file or a program and input is a terminal: whoever typed this wants to receive.
 * */
static int choose_input(void) {
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) != 1 ? -1 : STDIN_FILENO;
}

static pln_exit judge(const pln_cli *cli, const pln_pipe_result *result, const char *detail) {
    switch (result->end) {
    case PLN_PIPE_COMPLETE:
        return PLN_EXIT_OK;
    case PLN_PIPE_INPUT:
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "pipe: reading the input: %s",
                        pln_errno_text(result->os_errno));
    case PLN_PIPE_OUTPUT:
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "pipe: writing the output: %s",
                        pln_errno_text(result->os_errno));
    case PLN_PIPE_PROTO:
        return pln_fail(cli, PLN_EXIT_PROTO, NULL, "pipe: the other side is no `pln pipe`");
    case PLN_PIPE_VERSION_OTHER:
        return pln_fail(cli, PLN_EXIT_PROTO, "use the same version of pln on both sides",
                        "pipe: the other side speaks another version of the pipe's protocol");
    case PLN_PIPE_STOPPED:
        return PLN_EXIT_INT;
    case PLN_PIPE_MEMORY:
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "pipe: out of memory");
    case PLN_PIPE_CUT:
        break;
    }
    return pln_fail(
        cli, PLN_EXIT_FAIL, NULL, "pipe: cut off after %llu bytes received, %llu sent: %s",
        (unsigned long long)result->bytes_received, (unsigned long long)result->bytes_sent,
        detail != NULL             ? detail
        : result->err != POLLEN_OK ? pollen_strerror(result->err)
                                   : "the other side ended in the middle");
}

static pln_exit carry(pln_cli *cli, pln_pipe_channel *channel, bool is_opener) {
    const pln_pipe_options options = {.in_fd = choose_input(),
                                      .out_fd = STDOUT_FILENO,
                                      .is_opener = is_opener,
                                      .stop_fd = pln_stopper_fd()};
    const pln_channel ops = pln_pipe_channel_ops(channel);
    const pln_pipe_result result = pln_pipe_run(&ops, &options);
    if (pln_stopper_fired()) {
        return PLN_EXIT_INT;
    }
    return judge(cli, &result, pln_pipe_channel_detail(channel));
}

/* Standard input from its beginning again, where it has one; else there is nothing more to send. */
static void rewind_input(void) {
    (void)lseek(STDIN_FILENO, 0, SEEK_SET);
}

static pln_exit listen_in_memory(pln_cli *cli, const pln_pipe_terms *terms) {
    char ticket[PLN_TICKET_TEXT_BYTES];
    pln_pipe_node node;
    pln_exit code = pln_pipe_node_listen(cli, terms, &node, ticket);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    pln_note("on the other side: pln pipe connect %s", ticket);
    do {
        pln_pipe_channel channel;
        code = pln_pipe_node_accept(cli, &node, terms, &channel);
        if (code == PLN_EXIT_OK) {
            code = carry(cli, &channel, false);
            pln_pipe_channel_close(&channel);
            rewind_input();
        }
    } while (terms->keep && code != PLN_EXIT_INT && code != PLN_EXIT_TIMEOUT);
    pln_pipe_node_close(&node);
    return code;
}

static pln_exit connect_in_memory(pln_cli *cli, const pln_pipe_terms *terms) {
    char *text = NULL;
    pln_pipe_node node;
    pln_pipe_channel channel;
    pln_exit code = pln_secret_read(cli, cli->operand_count > 0 ? cli->operands[0] : NULL, &text);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    code = pln_pipe_node_connect(cli, terms, text, &node, &channel);
    pln_secret_free(text);
    if (code == PLN_EXIT_OK) {
        code = carry(cli, &channel, true);
        pln_pipe_channel_close(&channel);
        pln_pipe_node_close(&node);
    }
    return code;
}

static pln_exit through_daemon(pln_cli *cli, pln_request *request, bool is_opener) {
    pln_pipe_channel channel;
    pln_exit code = pln_pipe_daemon_open(cli, request, &channel);
    if (code == PLN_EXIT_OK) {
        code = carry(cli, &channel, is_opener);
        pln_pipe_channel_close(&channel);
    }
    return code;
}

static pln_exit parse_terms(pln_cli *cli, pln_pipe_terms *terms) {
    pln_exit code = pln_cli_number(cli, "port", 1, UINT16_MAX, &terms->port);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_number(cli, "udp-port", 0, UINT16_MAX, &terms->udp_port);
    }
    if (code == PLN_EXIT_OK && pln_cli_has(cli, "timeout")) {
        terms->timeout_ms = PLN_REQUEST_TIMEOUT_MS_MAX;
        code = pln_cli_wait(cli, "timeout", &terms->timeout_ms);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_ips(cli, terms->ips, PLN_TICKET_ADDRS_MAX, &terms->ip_count);
    }
    terms->keep = pln_cli_has(cli, "keep");
    terms->loopback = pln_cli_has(cli, "loopback");
    return code;
}

static pln_exit run_listen(pln_cli *cli) {
    pln_pipe_terms terms = {.timeout_ms = -1};
    cli->json = false; /* Standard output is the pipe's. */
    const pln_exit code = parse_terms(cli, &terms);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    pln_stopper_start();
    if (terms.port == 0) {
        return listen_in_memory(cli, &terms);
    }
    pln_request request = {.verb = PLN_REQUEST_STREAM_LISTEN, .port = terms.port};
    request.timeout_ms = terms.timeout_ms < 0 ? PLN_REQUEST_TIMEOUT_MS_MAX : terms.timeout_ms;
    return through_daemon(cli, &request, false);
}

static pln_exit run_connect(pln_cli *cli) {
    pln_pipe_terms terms = {.timeout_ms = CONNECT_TIMEOUT_MS};
    cli->json = false;
    pln_exit code = parse_terms(cli, &terms);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    pln_stopper_start();
    if (terms.port == 0) {
        return connect_in_memory(cli, &terms);
    }
    pln_request request = {
        .verb = PLN_REQUEST_STREAM_CONNECT, .port = terms.port, .timeout_ms = terms.timeout_ms};
    if (cli->operand_count == 0) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help pipe connect",
                        "pipe connect: expected a peer before --port");
    }
    code = pln_cli_peer(cli, cli->operands[0], request.peer);
    return code == PLN_EXIT_OK ? through_daemon(cli, &request, true) : code;
}

const pln_verb pln_verb_pipe_listen = {
    .name = "pipe listen",
    .run = run_listen,
    .summary = "wait for the other side of a pipe; needs no node and no cluster",
    .opts = listen_opts,
    .help =
        "Prints the command for the other side on standard error; standard output is the pipe's\n"
        "alone.  What one side reads the other writes, both ways, each until its own end.  Done\n"
        "means that everything has arrived on both sides.\n",
};

const pln_verb pln_verb_pipe_connect = {
    .name = "pipe connect",
    .run = run_connect,
    .operands = "TICKET|-|@FILE",
    .operands_max = 1,
    .summary = "be the other side of a pipe",
    .opts = connect_opts,
    .help =
        "The ticket may come from standard input (-, which then has nothing else to send), from\n"
        "a file (@FILE) or from $" PLN_SECRET_ENV ".  With --port the operand is a peer's id.\n",
};
